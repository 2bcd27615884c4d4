# case: left TK004:6 may use it unseen
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print("{d}".format(**locals()))
