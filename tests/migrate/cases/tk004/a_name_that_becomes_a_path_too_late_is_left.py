# case: left TK004:7 joins it as text
import tempfile
from pathlib import Path


def main(run):
    with tempfile.TemporaryDirectory() as tmp:
        run(tmp + "/x")
        tmp = Path(tmp)
        run(tmp)
