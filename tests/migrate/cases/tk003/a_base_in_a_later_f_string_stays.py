# case: options TK003
# case: path tests/test_dirs.py
import tempfile
from pathlib import Path


def test_it(run):
    with tempfile.TemporaryDirectory() as tmp:
        one = Path(tmp) / "one"
        one.mkdir()
        two = Path(tmp) / "two"
        two.mkdir()
        run(f"""
{tmp}
{one}""", two)
