"""Names that only look like those of the standard library."""

import os
import tempfile


class TemporaryDirectory:
    def __enter__(self):
        return "own"

    def __exit__(self, *raised):
        return None


def mkdtemp():
    return "mine"


def first(tempfile):
    with tempfile.TemporaryDirectory() as d:
        return d


class Holder:
    TemporaryDirectory = TemporaryDirectory


def second():
    with TemporaryDirectory() as d:
        return d, mkdtemp()


def third():
    import tempfile as tempfile_again

    with tempfile_again.TemporaryDirectory() as d:
        return os.path.isdir(d)


def fourth():
    temp_working_dir = "taken"
    with tempfile.TemporaryDirectory() as d:
        return os.path.isdir(d), temp_working_dir


if __name__ == "__main__":
    print(first(Holder), second(), third(), fourth())
