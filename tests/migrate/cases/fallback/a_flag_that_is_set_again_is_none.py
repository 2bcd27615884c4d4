# case: left TK004:19 the name temp_working_dir is taken here
import os
import tempfile

try:
    from common.temp import temp_working_dir
except ImportError:
    temp_working_dir = None
HAVE = temp_working_dir is not None
if os.environ.get("PLAIN"):
    HAVE = False


def work():
    if HAVE:
        with temp_working_dir("x") as d:
            print(d)
    else:
        with tempfile.TemporaryDirectory() as d:
            print(d)
