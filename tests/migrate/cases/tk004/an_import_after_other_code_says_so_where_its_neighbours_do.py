import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

import tempfile  # noqa: E402

import helpers  # noqa: E402

with tempfile.TemporaryDirectory() as d:
    helpers.work(str(d))
print(tempfile.gettempdir())
