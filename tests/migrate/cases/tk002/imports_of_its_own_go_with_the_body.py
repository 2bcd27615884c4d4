# case: options TK002
import sys


def get_temp_dir(prefix="temp"):
    import time
    from pathlib import Path

    stamp = int(time.time())
    base = Path(".tmp")
    base.mkdir(parents=True, exist_ok=True)
    path = base / f"{prefix}_{stamp}"
    path.mkdir(parents=True)
    return path


print(sys.argv)
