# case: left TK110:17 makes a directory in .tmp by hand
# case: left TK110:18 makes a directory in .tmp by hand
# case: left TK110:19 makes a directory in .tmp by hand
# case: left TK110:20 names .tmp by hand
# case: left TK110:21 makes a directory in .tmp by hand
# case: left TK110:26 makes a directory in .tmp by hand
# case: left TK110:31 makes a directory in .tmp by hand
# case: left TK110:32 names .tmp by hand
# case: left TK110:33 makes a directory in .temp by hand
# case: left TK110:34 makes a directory in .tmp by hand
# case: left TK110:37 names .tmp by hand
# case: left TK110:42 names .tmp by hand
import os
import subprocess
from pathlib import Path

Path(".tmp").mkdir(exist_ok=True)
Path(".tmp/y").mkdir(exist_ok=True)
os.makedirs(".tmp/cache", exist_ok=True)
LOG = os.path.join(".tmp", "log.txt")
CACHE = os.path.join(".tmp", "cache")
os.makedirs(CACHE, exist_ok=True)


def for_run(number):
    out = Path(".tmp") / f"run_{number}"
    out.mkdir(parents=True, exist_ok=True)
    return out


work = Path(f".tmp/{LOG}").parent.mkdir()
open(".tmp/report.txt", "w").close()
Path.cwd().joinpath(".temp", "old").mkdir()
subprocess.run(["mkdir", "-p", ".tmp"], check=True)


def main(scratch_dir=".tmp"):
    return scratch_dir


class Settings:
    BASE = Path(__file__).parent / ".tmp"

    def make(self):
        (Settings.BASE / "x").mkdir()
        self.base.mkdir()
