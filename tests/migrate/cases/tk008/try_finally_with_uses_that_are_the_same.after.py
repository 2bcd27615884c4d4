# case: options unsafe TK008
import os

from common.temp import temp_working_dir


def build(make):
    with temp_working_dir("build") as work:
        # here
        open(os.path.join(work, "x"), "w").close()

        print(work)
    return make
