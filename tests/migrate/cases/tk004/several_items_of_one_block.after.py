import os

from common.temp import temp_working_dir


def main():
    with temp_working_dir("module") as a, temp_working_dir("module") as b, open(
        os.path.join(a, "x"), "w"
    ) as file:
        file.write(str(b))
