import tempfile

from common.temp import temp_working_dir


def main():
    with temp_working_dir("a") as d:
        print(d)
