"""A script that also runs where the package is missing."""

import os
import tempfile

try:
    from common.temp import temp_working_dir

    HAVE = True
except ImportError:
    HAVE = False


def work():
    if HAVE:
        with temp_working_dir("work") as d:
            return os.path.isdir(d)
    else:
        with tempfile.TemporaryDirectory() as d:
            return os.path.isdir(d)


if __name__ == "__main__":
    print(work())
