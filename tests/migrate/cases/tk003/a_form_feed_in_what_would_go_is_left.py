# case: path tests/test_dirs.py
# case: options TK003
# case: left TK003:9 would be lost
import tempfile
from pathlib import Path


def test_it():
    with tempfile.TemporaryDirectory() as d:
        a = Path(d) / "a"
        b = Path(d) / "b"
        a.mkdir()
        b.mkdir()
        assert a != b
