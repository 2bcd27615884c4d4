"""Expanding a path as given by a user."""

from __future__ import annotations

import os
from pathlib import Path


def users_path(path: str | os.PathLike[str]) -> Path:
    """`path` with a leading `~` expanded to the home directory, as in a shell."""
    return Path(os.path.expanduser(path))
