import os


def main():
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as d:
        os.chdir(d)
