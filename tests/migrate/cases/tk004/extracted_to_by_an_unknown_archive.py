# case: left TK004:6 outside the standard library
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        thing.extractall(d)
