import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

import helpers
from common.temp import temp_working_dir

import tempfile

with temp_working_dir("module") as d:
    helpers.work(str(d))
print(tempfile.gettempdir())
