# case: left TK004:6 needs a str
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        other(lambda: d)
