from helpers import *

import tempfile


def work() -> None:
    with tempfile.TemporaryDirectory():
        pass
