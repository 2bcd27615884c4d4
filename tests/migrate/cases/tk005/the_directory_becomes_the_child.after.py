# case: options unsafe
from common.temp import temp_working_dir


def build(make):
    with temp_working_dir("work") as work:
        make(work)
        return sorted(work.iterdir())
