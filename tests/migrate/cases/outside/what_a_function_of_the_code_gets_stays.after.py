# case: left TK004:6 may pass it to one of your functions
import shutil
from tempfile import TemporaryDirectory

from common.temp import temp_working_dir

seen = []
with TemporaryDirectory() as d:
    shutil.rmtree(d, onerror=lambda function, path, error: seen.append(path + "/"))
with temp_working_dir("module") as e:
    shutil.rmtree(e, ignore_errors=True)
print(seen)
