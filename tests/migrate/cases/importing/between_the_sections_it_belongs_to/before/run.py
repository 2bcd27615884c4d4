# case: options TK004
import os
import tempfile

import numpy

import app
from . import x

with tempfile.TemporaryDirectory() as d:
    print(os.listdir(d), numpy, app, x)
