from tempfile import TemporaryDirectory


def main(other: "TemporaryDirectory[str]"):
    with TemporaryDirectory() as d:
        print(d, other)
