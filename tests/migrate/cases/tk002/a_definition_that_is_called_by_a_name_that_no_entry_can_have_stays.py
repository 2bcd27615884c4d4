# case: left TK002:8 defines the legacy get_temp_dir, and module.py needs it as it is
# case: left TK001:16 '.hidden' cannot name a directory
# case: left TK001:17 7 cannot name a directory
import time
from pathlib import Path


def get_temp_dir(prefix="temp"):
    temp_base = Path(".tmp")
    temp_base.mkdir(exist_ok=True)
    temp_dir = temp_base / f"{prefix}_{int(time.time())}"
    temp_dir.mkdir(exist_ok=True)
    return temp_dir


hidden = get_temp_dir(".hidden")
numbered = get_temp_dir(7)
