# case: left TK004:6 compares it with text
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print(d in other)
