# case: options TK001 TK100
# case: left TK100:22 `get_temp_dir` has 2 possible meanings (lines 8, 18)
import sys
import time
from pathlib import Path


def get_temp_dir(prefix="temp"):
    temp_base = Path(".tmp")
    temp_base.mkdir(exist_ok=True)
    temp_dir = temp_base / f"{prefix}_{int(time.time())}"
    temp_dir.mkdir(exist_ok=True)
    return temp_dir


if sys.platform == "win32":

    def get_temp_dir(prefix="temp"):
        return Path("C:/scratch", prefix)


print(get_temp_dir("a"))
