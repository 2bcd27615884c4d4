import tempfile
from pathlib import Path


def main(run):
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        (tmp / "x").mkdir()
        run(tmp, f"{tmp / 'y'}")
    return tmp
