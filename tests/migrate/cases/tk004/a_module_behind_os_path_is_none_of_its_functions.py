# case: left TK004:5 passes it on
import os
import tempfile

with tempfile.TemporaryDirectory() as d:
    os.path.sys.path.insert(0, d)
