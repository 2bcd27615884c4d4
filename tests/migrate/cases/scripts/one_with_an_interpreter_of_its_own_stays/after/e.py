#!/usr/bin/env python3
import os

from common.temp import temp_working_dir

with temp_working_dir("e") as d:
    print(os.listdir(d))
