import tempfile

from common.temp import temp_working_dir


def work():
    with temp_working_dir("work") as d:
        print(d)
