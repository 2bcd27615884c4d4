import tempfile

from common.temp import temp_working_dir as scratch

print(scratch)


def main():
    with tempfile.TemporaryDirectory() as d:
        print(d)
