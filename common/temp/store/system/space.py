"""The free and total space of a filesystem."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def space_of(path: Path) -> tuple[int | None, int | None]:
    """The bytes free for this user on the filesystem of `path` or of its nearest existing parent,
    and the sum of free and used bytes, of which `df` shows a percentage.
    """
    for directory in (path, *path.parents):
        if directory.exists():
            with contextlib.suppress(OSError):
                if hasattr(os, "statvfs"):
                    told = os.statvfs(directory)
                    if not told.f_blocks:
                        return None, None  # ramfs, which has no limit, or one that does not tell
                    used = told.f_blocks - told.f_bfree
                    return told.f_bavail * told.f_frsize, (used + told.f_bavail) * told.f_frsize
                import shutil

                usage = shutil.disk_usage(directory)
                return usage.free, usage.used + usage.free
            break
    return None, None


def free_bytes(path: Path) -> int | None:
    """The bytes free for this user on the filesystem of `path` or its nearest existing parent."""
    return space_of(path)[0]
