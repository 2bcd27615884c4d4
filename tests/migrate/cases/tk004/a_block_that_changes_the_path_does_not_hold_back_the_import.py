# case: left TK004:6 `sys.path.insert(0, d)` passes it on
import os
import sys
import tempfile

with tempfile.TemporaryDirectory() as d:
    sys.path.insert(0, d)
    sys.path.remove(d)
with tempfile.TemporaryDirectory() as other:
    print(os.listdir(other))
