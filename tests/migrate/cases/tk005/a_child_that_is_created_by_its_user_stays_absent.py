# case: options unsafe TK005
import shutil
import tempfile
from pathlib import Path


def build(source):
    with tempfile.TemporaryDirectory() as tmp:
        work = Path(tmp) / "work"
        shutil.copytree(source, work)
