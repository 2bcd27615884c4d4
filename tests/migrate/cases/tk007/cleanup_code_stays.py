# case: options unsafe TK007
import shutil
from pathlib import Path


def clean():
    old = Path(".tmp") / "x"
    if old.exists():
        shutil.rmtree(old)
