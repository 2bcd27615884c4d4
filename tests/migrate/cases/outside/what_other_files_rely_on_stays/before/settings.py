import os
import tempfile

with tempfile.TemporaryDirectory() as scratch:
    LISTING = os.listdir(scratch)
