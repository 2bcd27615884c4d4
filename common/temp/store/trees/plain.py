"""A fast path for directories that hold a few files and nothing else.

Anything else is left to `walk` and `removal`, which also say why.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from ..system import at
from .marker_names import OF_GIT
from .removed import Removed

_MOST: Final = 64
"""The maximum number of files."""


def files_in(directory: int) -> list[str] | None:
    """The names of the files in the open directory; `None` if it has too many, or may hold a
    directory, or a file that marks a repository.
    """
    names: list[str] = []
    try:
        with at.scandir(directory) as items:
            for item in items:
                name = item.name
                if item.is_dir(follow_symlinks=False) or name in OF_GIT or len(names) == _MOST:
                    return None
                names.append(name)
    except OSError:
        return None
    return names


def newest_of(
    directory: int, status: os.stat_result, names: Sequence[str], until_ns: int
) -> tuple[float, float] | None:
    """When the open directory or a file in it last changed up to `until_ns`, and its latest
    modification after that; both in seconds since 1970. `None` if a file is gone.
    """
    try:
        seen = [at.stat(name, dir_fd=directory, follow_symlinks=False) for name in names]
    except OSError:
        return None
    times = [status.st_mtime_ns, *(one.st_mtime_ns for one in seen)]
    changed = max((time for time in times if time <= until_ns), default=0)
    future = max((time for time in times if time > until_ns), default=0)
    return changed / 1e9, future / 1e9


def remove_files(
    directory: int, names: Sequence[str], parent: int, name: str, blocks: int, removed: Removed
) -> bool:
    """Delete the files `names` in the open directory, then the directory, which is `name` in
    `parent` and occupies `blocks`. Return whether all of it is gone; add what went to `removed`.

    A name that has become a directory, and anything created meanwhile, stays.
    """
    files = length = freed = 0
    try:
        for file in names:
            status = at.stat(file, dir_fd=directory, follow_symlinks=False)
            at.unlink(file, dir_fd=directory)
            files += 1
            length += status.st_size
            if status.st_nlink == 1:
                freed += status.st_blocks
            else:
                key = (status.st_dev, status.st_ino)
                removed.note_link(key, 1, status.st_nlink, status.st_blocks * 512)
        at.rmdir(name, dir_fd=parent)
    except OSError:
        return False  # a full removal will find the obstacle
    finally:
        removed.count(files, length, freed)
    removed.directories += 1
    removed.freed_bytes += blocks * 512
    return True
