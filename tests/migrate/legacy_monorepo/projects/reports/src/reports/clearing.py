"""Clears what reports leave."""

import shutil
from pathlib import Path


def clear():
    """Whether there was anything to clear."""
    scratch = Path(".tmp")
    if not scratch.exists():
        return False
    shutil.rmtree(scratch / "reports", ignore_errors=True)
    old = Path(".tmp") / "older"
    if old.is_dir():
        shutil.rmtree(old)
    return True
