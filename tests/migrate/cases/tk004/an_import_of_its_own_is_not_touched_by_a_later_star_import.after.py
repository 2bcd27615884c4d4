import os

from helpers import *


def work() -> None:
    from common.temp import temp_working_dir

    with temp_working_dir("work"):
        pass
