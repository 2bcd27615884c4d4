"""Thinning out a tree: deleting everything except the kept paths.

Like a removal, this follows no symlink and enters no mount point, even if others change the tree
meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator

from ..system import at
from ..system.obstacle import reason_of
from ..system.opening import open_unmounted, opened
from .kept_paths import Kept, Matches
from .open_directories import Descent, Level
from .removal import MOUNTED, remove_at
from .removed import Removed, unlink_at
from .walk import measure


def size_kept(parent: int, name: str, kept: Kept) -> int:
    """The bytes on disk that are kept; a file counts once, however many names it has."""
    size = 0
    seen: set[int] = set()
    for directory, above, names in _directories(parent, name, kept, lambda *_: None):
        size += at.fstat(directory).st_blocks * 512
        for one in names:
            if _joined(above, one) not in kept.paths:
                continue
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                status = at.stat(one, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    with opened(one, dir_fd=directory) as whole:
                        size += measure(whole).size
                elif status.st_ino not in seen:
                    seen.add(status.st_ino)
                    size += status.st_blocks * 512
    return size


def thin(parent: int, name: str, kept: Kept, matches: Matches) -> Removed:
    """Delete everything that is not `kept` in the directory `name` of the open `parent`.

    New files that match stay too. The directories that stay keep their times and modes.
    """
    removed = Removed()

    def failed(path: str, error: OSError) -> None:
        if error.errno != errno.ENOENT:
            is_mounted = error.errno == errno.EXDEV
            why = MOUNTED if is_mounted else reason_of(error, name, parent)
            removed.failures.append((path, why))

    for directory, above, names in _directories(parent, name, kept, failed):
        goes = [
            one
            for one in names
            if (path := _joined(above, one)) not in kept.paths
            and path not in kept.above
            and not matches(path)
        ]
        _thin_one(directory, above, goes, removed)
    return removed


def _thin_one(directory: int, above: str, goes: list[str], removed: Removed) -> None:
    """Delete the names `goes` in the open `directory`, whose path in the tree is `above`."""
    before = at.fstat(directory)
    if at.RELATIVE and before.st_mode & 0o700 != 0o700:
        with contextlib.suppress(OSError):  # a failure shows at the first unlink
            os.fchmod(directory, stat.S_IMODE(before.st_mode) | 0o700)
    try:
        for name in goes:
            _remove(directory, name, _joined(above, name), removed)
    finally:
        if at.RELATIVE:
            with contextlib.suppress(OSError):
                os.fchmod(directory, stat.S_IMODE(before.st_mode))
                os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))


def _remove(directory: int, name: str, path: str, removed: Removed) -> None:
    try:
        status = at.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            removed.add(unlink_at(directory, name))
            return
        found = remove_at(directory, name)
        found.failures = [(f"{path}/{at_}".rstrip("/"), why) for at_, why in found.failures]
        removed.add(found)
    except FileNotFoundError:
        return
    except OSError as error:
        removed.failures.append((path, reason_of(error, name, directory)))


# -- the directories above kept paths -------------------------------------------------------------


class _Level(Level):
    __slots__ = ("path", "pending")

    def __init__(self, path: str, descriptor: int, depth: int) -> None:
        super().__init__(descriptor, at.fstat(descriptor), depth)
        self.path = path
        self.pending: list[str] = []


Failed = Callable[[str, OSError], None]
"""Called with the path of a directory that cannot be entered or read, and why."""


def _directories(
    parent: int, name: str, kept: Kept, failed: Failed
) -> Iterator[tuple[int, str, list[str]]]:
    """Each directory above kept paths: its descriptor, its path and the names in it.

    Raises `OSError` if the top cannot be opened.
    """
    descent: Descent[_Level] = Descent()
    level: _Level | None = _Level("", open_unmounted(name, dir_fd=parent), 0)
    try:
        while level is not None:
            descent.push(level)
            assert level.descriptor is not None
            try:
                names = at.listdir(level.descriptor)
            except OSError as error:
                failed(level.path, error)
            else:
                level.pending = [one for one in names if _joined(level.path, one) in kept.above]
                yield level.descriptor, level.path, names
            level = _next(descent, failed)
    finally:
        descent.close()


def _next(descent: Descent[_Level], failed: Failed) -> _Level | None:
    """The next directory of the walk, opened; `None` at the end."""
    while descent.levels:
        above = descent.levels[-1]
        if not above.pending:
            done = descent.pop()
            try:
                descent.reopen(done)
            except OSError as error:
                failed(done.path, error)
            finally:
                done.close()
            continue
        name = above.pending.pop()
        path = _joined(above.path, name)
        assert above.descriptor is not None
        try:
            return _Level(path, open_unmounted(name, dir_fd=above.descriptor), above.depth + 1)
        except OSError as error:
            failed(path, error)
    return None


def _joined(above: str, name: str) -> str:
    return f"{above}/{name}" if above else name
