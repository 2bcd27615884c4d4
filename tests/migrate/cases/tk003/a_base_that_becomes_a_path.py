# case: path tests/test_dirs.py
import tempfile
from pathlib import Path


def test_it(run):
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        one = tmp / "one"
        one.mkdir()
        two = tmp / "two"
        two.mkdir()
        run(one, two)
