from common.temp import temp_working_dir as scratch

print(scratch)


def main():
    with scratch("module") as d:
        print(d)
