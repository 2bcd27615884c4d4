import os

from helpers import *


def work() -> None:
    import tempfile

    with tempfile.TemporaryDirectory():
        pass
