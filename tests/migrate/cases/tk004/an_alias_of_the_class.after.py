# case: left TK103:7 `mkdtemp` is passed on
from tempfile import mkdtemp

from common.temp import temp_working_dir


def main():
    with temp_working_dir("module") as d:
        print(d, mkdtemp)
