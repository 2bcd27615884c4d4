# case: left TK004:6 `sys.path.insert(0, d)` passes it on
import os
import sys
import tempfile

from common.temp import temp_working_dir

with tempfile.TemporaryDirectory() as d:
    sys.path.insert(0, d)
    sys.path.remove(d)
with temp_working_dir("module") as other:
    print(os.listdir(other))
