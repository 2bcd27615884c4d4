# case: options TK003
# case: path tests/test_dirs.py
import tempfile
from pathlib import Path


def test_it():
    with tempfile.TemporaryDirectory() as d:
        a = Path(d) / "a"
        b = Path(d) / "a"
        a.mkdir()
        b.mkdir(exist_ok=True)
        assert a == b
