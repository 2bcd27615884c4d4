# case: left TK004:6 passes it on
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        open("x", d)
