# case: left TK100:8 `tempfile.TemporaryDirectory` may come from a star import
import tempfile

from helpers import *


def work() -> None:
    with tempfile.TemporaryDirectory():
        pass
