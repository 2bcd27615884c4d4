# case: options unsafe TK007
# case: left TK007:8 and deletes it on line 11
import shutil
from pathlib import Path


def work():
    out = Path(".tmp") / "x"
    out.mkdir(parents=True)
    print(out)
    shutil.rmtree(out)
