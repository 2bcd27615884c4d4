# case: left TK004:6 hands it on
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        raise OSError(d)
