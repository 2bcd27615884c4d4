# case: left TK004:6 yields it
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        yield d
