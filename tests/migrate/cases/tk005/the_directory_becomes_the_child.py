# case: options unsafe
import tempfile
from pathlib import Path


def build(make):
    with tempfile.TemporaryDirectory() as tmp:
        work = Path(tmp) / "work"
        work.mkdir()
        make(work)
        return sorted(work.iterdir())
