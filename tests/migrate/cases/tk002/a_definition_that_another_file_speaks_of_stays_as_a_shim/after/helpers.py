# case: options unsafe TK002
from pathlib import Path

from common.temp import get_temp_dir as shared_get_temp_dir


def get_temp_dir(prefix: str = "temp") -> Path:
    """Make a scratch directory."""
    return shared_get_temp_dir(prefix)
