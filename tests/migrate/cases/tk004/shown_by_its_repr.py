# case: left TK004:6 by its repr
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print(f"{d!r}")
