# case: path tests/test_dirs.py
from pathlib import Path
from tempfile import TemporaryDirectory


def test_it():
    """Two folders."""
    with TemporaryDirectory() as d:
        # the two sides
        left, right = Path(d) / "left", Path(d) / "right"
        left.mkdir()
        right.mkdir()
        assert list(left.iterdir()) == list(right.iterdir()) == []
