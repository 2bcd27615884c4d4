"""Measuring the file or directory at a path, and finding what inside may protect it."""

from __future__ import annotations

import errno
import stat

from ...core.named_tuple import NamedTuple
from ...errors import StorageError, in_place, reason_of
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.permissions import is_closed
from .measured import NEVER, Inside, Measured
from .walk import measure


def look_inside(parent: int, name: str) -> Inside:
    """What in the directory `name` of the open `parent` may protect it; empty if not a directory.

    Directories without permission are left out: no process of this user can reach them by path.
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


class Newest(NamedTuple):
    """When something last changed, where inside, and its newest modification in the future."""

    changed: float
    where: str = ""
    future: float = 0.0


def newest_change(root: int, path: str) -> tuple[float, str]:
    """When the entry at `path` below the open `root` last changed inside, and where.

    A time in the future counts like any other. Raises `OSError` if part of it cannot be read.
    """
    return look_at(root, path)[0][:2]


def look_at(root: int, path: str, until: float | None = None) -> tuple[Newest, Inside]:
    """When the entry at `path` below the open `root` last changed, and what in it may protect it.

    Modifications after `until` (seconds since 1970) are in the future. Raises `OSError` if part of
    the entry cannot be read.
    """
    measured = measure_at(root, path, NEVER if until is None else int(until * 1e9))
    for where, what in measured.problems:
        raise StorageError(0, in_place(what, where))
    changed, future = measured.changed_ns / 1e9, measured.future_ns / 1e9
    return Newest(changed, measured.changed_in, future), measured.inside


def measure_at(parent: int | None, path: str, until_ns: int = NEVER) -> Measured:
    """The measure of the file or directory at `path`, below the open `parent`. Raises `OSError`.

    Modifications after `until_ns` are in the future.
    """
    status = at.stat(path, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        return Measured.of(status, until_ns)
    descriptor = at.open(path, DIRECTORY_FLAGS, dir_fd=parent)
    try:
        return measure(descriptor, until_ns=until_ns)
    finally:
        at.close(descriptor)
