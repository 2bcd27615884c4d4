# case: left TK004:7 hands it on
import tempfile
import os


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        os.system(d)
