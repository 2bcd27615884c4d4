# case: left TK004:5 hands it on
import os
import tempfile

with tempfile.TemporaryDirectory() as d:
    os.path.sys.path.insert(0, d)
