import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

from common.temp import temp_working_dir
from other import thing


def main():
    with temp_working_dir("module") as d:
        thing(str(d))
