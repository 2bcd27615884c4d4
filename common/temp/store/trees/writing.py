"""Writing the items of an entry as a new tree, flushed to disk."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from ...errors import Refused
from ..system import at
from ..system.at import PLAIN_FLAGS
from .contents import CHUNK, Item, chunks

_HOLE: Final = bytes(CHUNK)
_NO_NAMES: Final = ("", ".", "..")
_NEW_FILE: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | PLAIN_FLAGS


def write(items: Iterable[Item], place: str) -> Item:
    """Write `items` as a new tree at the absolute path `place` and flush it; return the first item.

    The caller sets the mode and the time of the top directory, since it may move the tree first.
    Each item must go under a free name into a directory that was created here: anything else would
    write outside the tree, and raises `Refused`. Also raises `OSError`. On an error, the part
    already written is left.
    """
    entered: list[Item] = []
    first: Item | None = None
    for item in items:
        above, _, name = item.path.rpartition("/")
        if first is None:
            if item.path:
                raise Refused(f"{item.path} comes before the directory that it is in")
            first = item
        elif name in _NO_NAMES or "\0" in name or item.path.startswith("/"):
            raise Refused(f"{item.path!r} is not a place in it")
        else:
            while entered and entered[-1].path != above:
                _finish(entered.pop(), place)
            if not entered:
                raise Refused(f"{item.path} is not in the directory before it")
        where = f"{place}/{item.path}" if item.path else place
        if item.kind == "directory":
            os.mkdir(where, 0o700)
            if not item.path:
                _disinherit(where)
            entered.append(item)
        else:
            _write_one(item, where, place)
    while entered:
        _finish(entered.pop(), place)
    if first is None:
        raise Refused("there is nothing in it")
    _flush(os.path.dirname(place))
    return first


def _write_one(item: Item, where: str, place: str) -> None:
    if item.kind == "file":
        file = os.open(where, _NEW_FILE, 0o600)
        try:
            _fill(file, item)
            if _syncfs is None:
                os.fsync(file)
        finally:
            os.close(file)
    elif item.kind == "symlink":
        os.symlink(item.target, where)
    elif item.kind == "fifo" and hasattr(os, "mkfifo"):
        os.mkfifo(where, 0o600)
    elif item.kind == "link":
        at.link(_first_name(item, place), where, follow_symlinks=False)
        return
    else:
        raise Refused(f"no archive can hold {item.path or 'it'}")
    _dress(item, where)


def _fill(file: int, item: Item) -> None:
    position = 0
    for chunk in chunks(item):
        if len(chunk) == CHUNK and chunk == _HOLE:
            os.lseek(file, CHUNK, os.SEEK_CUR)  # so that a sparse file stays sparse
        else:
            view = memoryview(chunk)
            while view:
                view = view[os.write(file, view) :]
        position += len(chunk)
    os.ftruncate(file, position)


def _first_name(item: Item, place: str) -> str:
    """The path of the file that `item` is another name of; `Refused` if it is not in the tree."""
    *above, name = item.target.split("/")
    where = place
    for part in above:
        where = f"{where}/{part}"
        if part in _NO_NAMES or not stat.S_ISDIR(os.lstat(where).st_mode):
            raise Refused(f"{item.path} is a link out of it")
    if name in _NO_NAMES:
        raise Refused(f"{item.path} is a link out of it")
    return f"{where}/{name}"


def _finish(directory: Item, place: str) -> None:
    _dress(directory, f"{place}/{directory.path}" if directory.path else place)


def _disinherit(where: str) -> None:
    """Remove the access control lists that the top of the tree has from the directory around it."""
    if hasattr(os, "removexattr"):
        for name in ("system.posix_acl_default", "system.posix_acl_access"):
            with contextlib.suppress(OSError):  # there is none
                os.removexattr(where, name, follow_symlinks=False)


def _dress(item: Item, where: str) -> None:
    """Set the owner, attributes, mode and time of the item written at `where`.

    Raises `Refused` for a file that would run as another user or group than it did.
    """
    if hasattr(os, "lchown"):
        user, group = item.owner
        with contextlib.suppress(OSError):  # a filesystem that has none, or a group of others
            os.lchown(where, user if os.geteuid() == 0 else -1, group)
    runs_as = item.mode & (stat.S_ISUID | stat.S_ISGID) if item.kind == "file" else 0
    if runs_as:
        status = os.lstat(where)
        if (runs_as & stat.S_ISUID and status.st_uid != item.owner[0]) or (
            runs_as & stat.S_ISGID and status.st_gid != item.owner[1]
        ):
            raise Refused(f"{item.path or 'it'} would run as another user or group")
    if not item.path and item.kind != "directory":
        _disinherit(where)
    for key, value in item.attributes:
        os.setxattr(where, key, value, follow_symlinks=False)
    if item.path:
        dress(where, item.mode, item.mtime_ns, link=item.kind == "symlink")


@contextlib.contextmanager
def held(where: str) -> Iterator[str]:
    """A path that keeps referring to the file or directory at `where`, even if that is replaced.

    Without `/proc`, `where` itself. Raises `OSError`, also for a symlink.
    """
    if not hasattr(os, "O_PATH") or not at.RELATIVE or not os.path.isdir("/proc/self/fd"):
        yield where
        return
    descriptor = os.open(where, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_ISLNK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), where)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def dress(where: str, mode: int, mtime_ns: int, *, link: bool = False) -> None:
    """Set the mode and the time of the item at `where`; a symlink (`link`) has no mode."""
    if not link:
        with held(where) as it:
            dress_held(it, mode, mtime_ns)
    elif os.utime in os.supports_follow_symlinks:
        os.utime(where, ns=(mtime_ns, mtime_ns), follow_symlinks=False)


def dress_held(it: str, mode: int, mtime_ns: int) -> None:
    """As `dress`, for a path from `held`."""
    os.chmod(it, mode)
    os.utime(it, ns=(mtime_ns, mtime_ns))


def _find_syncfs() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError, TypeError):  # not Linux
        return None
    return found


_syncfs: Final = _find_syncfs()
"""Flushes one filesystem. Flushing many small files one by one takes far longer."""


def _flush(directory: str) -> None:
    """Flush everything written below `directory` to disk."""
    if not at.RELATIVE:
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        if _syncfs is None:
            os.fsync(descriptor)
        elif _syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), directory)
    finally:
        os.close(descriptor)
