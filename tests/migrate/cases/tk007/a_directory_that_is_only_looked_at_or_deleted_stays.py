# case: options unsafe TK007
import shutil
from pathlib import Path


def read():
    out = Path(".tmp") / "results"
    return sorted(out.iterdir()) if out.is_dir() else []


def clean():
    shutil.rmtree(Path(".tmp"), ignore_errors=True)
    old = Path(".tmp") / "old"
    shutil.rmtree(old)
