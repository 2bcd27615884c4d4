# case: options TK002
# case: left TK002:7 not the legacy helper
import time
from pathlib import Path


def get_temp_dir(prefix):
    base = Path(".tmp")
    base.mkdir(exist_ok=True)
    path = base / f"{prefix}_{int(time.time())}"
    path.mkdir(mode=0o700)
    return path
