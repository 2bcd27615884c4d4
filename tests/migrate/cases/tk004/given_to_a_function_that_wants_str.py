# case: left TK004:7 passes it on
import tempfile
import os


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        os.system(d)
