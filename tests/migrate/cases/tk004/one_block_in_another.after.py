from common.temp import temp_working_dir


def main():
    with temp_working_dir("module") as a:
        with temp_working_dir("module") as b:
            print(a, b)
