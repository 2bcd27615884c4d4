import sys
import tempfile
from pathlib import Path

try:
    import numpy
except ImportError:
    numpy = None
FAST = numpy is not None


def work():
    if FAST:
        print("fast")
    else:
        with tempfile.TemporaryDirectory() as d:
            print(Path(d))
    if sys.argv:
        return
    with tempfile.TemporaryDirectory() as d:
        print(Path(d))
