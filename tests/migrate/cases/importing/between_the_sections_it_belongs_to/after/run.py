# case: options TK004
import os

import numpy
from common.temp import temp_working_dir

import app
from . import x

with temp_working_dir("run") as d:
    print(os.listdir(d), numpy, app, x)
