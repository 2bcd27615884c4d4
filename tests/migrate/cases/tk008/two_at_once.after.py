# case: options unsafe TK008
from common.temp import temp_working_dir


def build():
    with temp_working_dir("build") as one:
        with temp_working_dir("build") as two:
            print(one, two)
