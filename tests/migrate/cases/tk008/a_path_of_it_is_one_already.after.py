# case: options unsafe TK008
from pathlib import Path

from common.temp import temp_working_dir


def build(make):
    with temp_working_dir("build") as work:
        make(work / "x")
    return Path
