import os
import tempfile

from common.temp import temp_working_dir


def main():
    with temp_working_dir("module") as d:
        print(d, os)
