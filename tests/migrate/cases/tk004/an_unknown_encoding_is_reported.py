# -*- coding: klingon -*-
# case: problem unknown encoding
import tempfile

with tempfile.TemporaryDirectory() as d:
    print(d)
