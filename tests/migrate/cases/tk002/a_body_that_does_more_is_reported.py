# case: options TK002
# case: left TK002:7 not the legacy helper word for word
import time
from pathlib import Path


def get_temp_dir(prefix: str = "temp") -> Path:
    """Make a scratch directory."""
    temp_base = Path(".tmp")
    temp_base.mkdir(exist_ok=True)
    temp_dir = temp_base / f"{prefix}_{int(time.time())}"
    temp_dir.mkdir(exist_ok=True)
    print(temp_dir)
    return temp_dir
