# case: left TK004:7 stores it
import tempfile
import subprocess


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["ls"], env={"D": d})
