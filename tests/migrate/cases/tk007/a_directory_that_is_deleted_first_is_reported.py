# case: options unsafe TK007
# case: left TK007:10 makes .tmp/fresh on line 12, but not directly by a plain
# case: left TK007:17 makes .tmp/missing on line 19, but not directly by a plain
import os
import shutil
from pathlib import Path


def fresh():
    out = Path(".tmp") / "fresh"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    return out


def if_missing():
    out = Path(".tmp", "missing")
    if not out.exists():
        os.makedirs(out)
    return out
