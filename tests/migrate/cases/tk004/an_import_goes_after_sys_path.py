import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

from other import thing


def main():
    with tempfile.TemporaryDirectory() as d:
        thing(str(d))
