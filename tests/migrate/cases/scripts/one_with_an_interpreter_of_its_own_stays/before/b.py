#!/usr/bin/env -S python3 -S
import os
import tempfile

with tempfile.TemporaryDirectory() as d:
    print(os.listdir(d))
