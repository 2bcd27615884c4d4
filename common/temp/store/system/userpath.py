"""The path that a user means."""

from __future__ import annotations

import os
from pathlib import Path


def users_path(path: str | os.PathLike[str]) -> Path:
    """`path` with the home directory in place of a leading `~`, as a shell reads it."""
    return Path(os.path.expanduser(path))
