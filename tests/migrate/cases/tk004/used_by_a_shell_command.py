# case: left TK004:7 joins it as text
import tempfile
import os


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        os.system("ls " + d)
