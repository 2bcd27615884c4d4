# case: left TK004:6 may pass it to one of your functions
import shutil
from tempfile import TemporaryDirectory

seen = []
with TemporaryDirectory() as d:
    shutil.rmtree(d, onerror=lambda function, path, error: seen.append(path + "/"))
with TemporaryDirectory() as e:
    shutil.rmtree(e, ignore_errors=True)
print(seen)
