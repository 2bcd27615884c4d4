"""What lies at a path: how much, when it last changed, and what in it may protect it."""

from __future__ import annotations

import errno
import stat

from ...errors import StorageError, in_place, reason_of
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from .measured import Inside, Measured
from .walk import is_closed, measure


def look_inside(parent: int, name: str) -> Inside:
    """What in the directory `name` of the open `parent` may protect it; nothing if it is none.

    What is closed to us is left out: nobody can work there by its path.
    """
    try:
        descriptor = at.open(name, DIRECTORY_FLAGS, dir_fd=parent)
    except OSError as error:
        if is_closed(error) or error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return Inside()
        return Inside(unread=reason_of(error))
    try:
        return measure(descriptor, names_only=True).inside
    finally:
        at.close(descriptor)


def newest_change(root: int, path: str) -> tuple[float, str]:
    """When the entry at `path` below the open `root` last changed inside, and where.

    Raises `OSError` if a part of it cannot be read.
    """
    return look_at(root, path)[0]


def look_at(root: int, path: str) -> tuple[tuple[float, str], Inside]:
    """As `newest_change`, and what in it may protect it, seen by the same walk."""
    measured = measure_at(root, path)
    for where, what in measured.problems:
        raise StorageError(0, in_place(what, where))
    return (measured.changed_ns / 1e9, measured.changed_in), measured.inside


def measure_at(parent: int | None, path: str) -> Measured:
    """The measure of what is at `path`, below the open `parent`. Raises `OSError`."""
    status = at.stat(path, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        return Measured.of(status)
    descriptor = at.open(path, DIRECTORY_FLAGS, dir_fd=parent)
    try:
        return measure(descriptor)
    finally:
        at.close(descriptor)
