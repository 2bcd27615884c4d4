# case: options TK002
import time
from pathlib import Path


def get_temp_dir(prefix):
    # Make sure that .tmp is there
    temp_base = Path(".tmp")
    temp_base.mkdir(exist_ok=True)  # may exist

    # One directory for each run
    temp_dir = temp_base / f"{prefix}_{int(time.time())}"
    temp_dir.mkdir(exist_ok=True)
    return temp_dir  # as a Path
