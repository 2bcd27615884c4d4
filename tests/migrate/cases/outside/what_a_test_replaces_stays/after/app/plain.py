import os

from common.temp import temp_working_dir


def empty():
    with temp_working_dir("empty") as d:
        return os.listdir(d)
