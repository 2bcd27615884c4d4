# case: left TK004:7 passes it on
import tempfile
import sys


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        sys.path.insert(0, d)
