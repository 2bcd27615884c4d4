import os

from common.temp import temp_working_dir


def kept():
    with temp_working_dir("kept") as d:
        return os.listdir(d)
