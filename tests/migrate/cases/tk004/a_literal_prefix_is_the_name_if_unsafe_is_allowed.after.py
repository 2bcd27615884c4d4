# case: options unsafe
from common.temp import temp_working_dir


def main():
    with temp_working_dir("export") as d:
        print(d)
