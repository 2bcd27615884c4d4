# case: left TK004:7 needs a str
import tempfile
from pathlib import Path


def main(run):
    with tempfile.TemporaryDirectory() as tmp:
        if run:
            tmp = Path(tmp)
        print(tmp / "x")
