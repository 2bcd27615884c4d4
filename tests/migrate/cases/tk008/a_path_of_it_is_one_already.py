# case: options unsafe TK008
import shutil
import tempfile
from pathlib import Path


def build(make):
    work = Path(tempfile.mkdtemp())
    try:
        make(work / "x")
    finally:
        shutil.rmtree(work)
    return Path
