# case: left TK004:6 or similar may use it
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print("{d}".format(**locals()))
