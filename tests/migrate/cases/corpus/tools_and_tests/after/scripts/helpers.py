"""What the scripts share."""

import time
from pathlib import Path

from common.temp import get_debug_temp_dir


def get_temp_dir(prefix: str = "temp") -> Path:
    """A new directory in .tmp."""
    # made beside the script
    temp_base = Path(".tmp")
    temp_base.mkdir(exist_ok=True)
    temp_dir = temp_base / f"{prefix}_{int(time.time())}"
    temp_dir.mkdir(exist_ok=True)
    return temp_dir


def count(directory):
    return len(list(Path(directory).iterdir()))


if __name__ == "__main__":
    print(count(get_debug_temp_dir("helpers")))
