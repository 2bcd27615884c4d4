# case: left TK104:6 a directory of mkdtemp() that line 7 schedules for removal
import atexit
import shutil
import tempfile

d = tempfile.mkdtemp()
atexit.register(shutil.rmtree, d, ignore_errors=True)
