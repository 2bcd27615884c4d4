# case: options unsafe
# case: path tests/test_dirs.py
import tempfile
from pathlib import Path


def test_it(make):
    with tempfile.TemporaryDirectory() as tmp:
        base = Path(tmp)
        out = base / "out"
        out.mkdir()

        make(out)
        assert (out / "x").exists()
