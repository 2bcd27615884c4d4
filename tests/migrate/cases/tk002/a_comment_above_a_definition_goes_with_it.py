# case: options unsafe TK002
"""Helpers."""
import time  # noqa: F401
from pathlib import Path

# -- scratch --------------

# Copied from the other project.
# A directory for each second.
def get_temp_dir(prefix):
    temp_base = Path(".tmp")
    temp_base.mkdir(exist_ok=True)
    temp_dir = temp_base / f"{prefix}_{int(time.time())}"
    temp_dir.mkdir(exist_ok=True)
    return temp_dir


def other():
    return 1
