# case: left TK004:7 stores it
import tempfile
import subprocess


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        args = ["ls", d]
        subprocess.run(args)
