# case: left TK004:7 stores it
import tempfile
import os


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        os.environ["X"] = d
