import os


def main():
    from common.temp import temp_working_dir

    with temp_working_dir("module") as d:
        os.chdir(d)
