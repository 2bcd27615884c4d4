import os
import tempfile


def hello():
    with tempfile.TemporaryDirectory() as d:
        return os.listdir(d)
