import sys
from pathlib import Path

from common.temp import temp_working_dir

try:
    import numpy
except ImportError:
    numpy = None
FAST = numpy is not None


def work():
    if FAST:
        print("fast")
    else:
        with temp_working_dir("work") as d:
            print(Path(d))
    if sys.argv:
        return
    with temp_working_dir("work") as d:
        print(Path(d))
