# case: options unsafe TK007
# case: left TK007:8 makes .tmp/x on line 10
import shutil
from pathlib import Path


def fresh():
    out = Path(".tmp") / "x"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    return out
