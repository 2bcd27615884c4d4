import tempfile
from pathlib import Path


def build():
    with tempfile.TemporaryDirectory() as d:
        a = Path(d) / "a"
        b = Path(d) / "b"
        a.mkdir()
        b.mkdir()
        print(a, b)
