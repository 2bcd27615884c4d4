# case: left TK004:6 adds text to it
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        d += "/x"
        print(d)
