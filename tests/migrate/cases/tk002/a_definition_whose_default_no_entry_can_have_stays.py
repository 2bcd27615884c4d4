# case: left TK002:7 defines the legacy get_temp_dir, and module.py needs it as it is
# case: left TK001:15 its default '' cannot name a directory
import time
from pathlib import Path


def get_temp_dir(prefix=""):
    temp_base = Path(".tmp")
    temp_base.mkdir(exist_ok=True)
    temp_dir = temp_base / f"{prefix}_{int(time.time())}"
    temp_dir.mkdir(exist_ok=True)
    return temp_dir


print(get_temp_dir())
