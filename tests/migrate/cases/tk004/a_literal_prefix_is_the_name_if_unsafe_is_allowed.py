# case: options unsafe
import tempfile


def main():
    with tempfile.TemporaryDirectory(prefix="export-") as d:
        print(d)
