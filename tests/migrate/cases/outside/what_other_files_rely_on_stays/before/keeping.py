import os
import tempfile


def kept():
    with tempfile.TemporaryDirectory() as d:
        return os.listdir(d)
