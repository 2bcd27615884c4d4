from tempfile import TemporaryDirectory

from common.temp import temp_working_dir


def main(other: "TemporaryDirectory[str]"):
    with temp_working_dir("module") as d:
        print(d, other)
