# case: options unsafe TK005
import tempfile
from pathlib import Path


def build(make):
    with tempfile.TemporaryDirectory() as tmp:
        work = Path(tmp) / "work"
        work.mkdir()
        make(work, tmp)
