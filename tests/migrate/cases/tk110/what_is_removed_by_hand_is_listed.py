# case: left TK110:12 removes .tmp by hand
# case: left TK110:17 removes .tmp by hand
# case: left TK110:22 removes .tmp by hand
# case: left TK110:27 removes .tmp by hand
# case: left TK110:34 removes .tmp by hand
# case: left TK110:37 removes .tmp by hand
# case: left TK110:38 removes .tmp by hand
import shutil
import subprocess
from pathlib import Path

CLEAN = ["build", "dist", ".tmp"]


def clean(c):
    """Remove what .tmp holds."""
    for name in ("build", ".tmp", "__pycache__"):
        shutil.rmtree(name, ignore_errors=True)


def tidy(c):
    c.run("rm -rf build .tmp")


def again():
    # What .tmp/x holds.
    targets = [".tmp", "out"]
    for target in targets:
        shutil.rmtree(target)


def by_path():
    for each in Path("x").iterdir():
        shutil.rmtree(Path(".tmp"))


subprocess.run(["rm", "-rf", ".tmp/cache"])
shutil.rmtree(".tmp/old")
