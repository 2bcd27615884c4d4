from helpers import *

from common.temp import temp_working_dir


def work() -> None:
    with temp_working_dir("work"):
        pass
