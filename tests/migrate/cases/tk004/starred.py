# case: left TK004:6 goes through its letters
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print(*d)
