# case: path tasks.py
# case: options TK004
import tempfile

from common.temp.tasks import *


def work() -> None:
    with tempfile.TemporaryDirectory():
        pass
