"""Which directories are environments that a package manager made."""

from __future__ import annotations

import os
from typing import AnyStr, Final

MARKS: Final = ("pyvenv.cfg", os.path.join("conda-meta", "history"))
"""What `venv` and its like write, and what conda, mamba and pixi do."""


def is_environment(directory: AnyStr) -> bool:
    """Whether `directory` is an environment that programs are installed in and started from."""
    top = os.fsdecode(directory)
    return any(os.path.lexists(os.path.join(top, mark)) for mark in MARKS)
