"""Checking who may have written a file that names programs to run."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from ...errors import reason_of
from .links import follow

_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def why_not_trusted(path: Path) -> str:
    """Why another user may have written the file at `path`; "" if only this user and root can.

    The file, the symlinks in its path, and all their parent directories must belong to this user or
    root and not be writable by others. A sticky directory like `/tmp` may be, since nobody can
    replace other users' files there. For root, only root's own files count. On Windows, every file
    is trusted.
    """
    if not hasattr(os, "geteuid"):
        return ""
    trusted = (0, os.geteuid())
    try:
        real, links = follow(str(path))
        places = [Path(real), *Path(real).parents]
        for link in links:
            if link.owner not in trusted:
                return f"{link.path} is a symlink of another user ({link.owner})"
            places += Path(link.path).parents
        for place in dict.fromkeys(places):
            status = os.lstat(place)
            if status.st_uid not in trusted:
                return f"{place} belongs to another user ({status.st_uid})"
            is_sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
            if status.st_mode & _BY_OTHERS and not is_sticky:
                return f"others may write to {place} (chmod go-w)"
    except OSError as error:
        return f"{path} cannot be looked at: {reason_of(error)}"
    return ""
