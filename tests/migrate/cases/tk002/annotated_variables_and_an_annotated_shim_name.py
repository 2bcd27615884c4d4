# case: options TK002
from pathlib import Path
from time import time as now

from common.temp import get_temp_dir as shared_get_temp_dir

print(shared_get_temp_dir)


def get_temp_dir(prefix, /):
    base: Path = Path(".tmp")
    base.mkdir(exist_ok=True)
    stamp: int = int(now())
    path: Path = base / f"{prefix}_{stamp}"
    path.mkdir(exist_ok=False)
    return path
