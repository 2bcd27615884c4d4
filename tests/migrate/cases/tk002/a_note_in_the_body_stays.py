# case: options TK002
import time  # epoch in the name
from pathlib import Path


def get_temp_dir(prefix):
    """Makes one."""
    # TODO: clean these, see #12
    # The base
    temp_base = Path(".tmp")
    temp_base.mkdir(exist_ok=True)
    temp_dir = temp_base / f"{prefix}_{int(time.time())}"
    temp_dir.mkdir(exist_ok=True)
    return temp_dir
