import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

import helpers

import tempfile

with tempfile.TemporaryDirectory() as d:
    helpers.work(str(d))
print(tempfile.gettempdir())
