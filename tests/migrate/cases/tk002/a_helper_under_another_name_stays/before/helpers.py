from pathlib import Path
import time


def get_temp_dir(prefix="x"):
    base = Path(".tmp")
    base.mkdir(exist_ok=True)
    out = base / f"{prefix}_{int(time.time())}"
    out.mkdir(exist_ok=True)
    return out
