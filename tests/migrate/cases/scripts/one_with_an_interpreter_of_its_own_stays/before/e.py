#!/usr/bin/env python3
import os
import tempfile

with tempfile.TemporaryDirectory() as d:
    print(os.listdir(d))
