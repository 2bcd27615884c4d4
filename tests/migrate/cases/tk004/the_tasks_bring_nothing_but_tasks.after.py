# case: path tasks.py
# case: options TK004
from common.temp import temp_working_dir
from common.temp.tasks import *


def work() -> None:
    with temp_working_dir("work"):
        pass
