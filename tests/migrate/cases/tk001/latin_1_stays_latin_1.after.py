# -*- coding: latin-1 -*-
# case: options TK001
import time
from pathlib import Path

from common.temp import get_debug_temp_dir


def get_temp_dir(prefix: str = "temp") -> Path:
    """Make a scratch directory."""
    temp_base = Path(".tmp")
    temp_base.mkdir(exist_ok=True)
    temp_dir = temp_base / f"{prefix}_{int(time.time())}"
    temp_dir.mkdir(exist_ok=True)
    return temp_dir


# grüße
NAME = "über"; OUT = get_debug_temp_dir(NAME)  # äöü
