# case: left TK004:7 passes it on
import tempfile
import shutil


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print(shutil.copytree(other, d, dirs_exist_ok=True) + "/x")
