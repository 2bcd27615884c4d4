"""Locks (`flock`) on files, and on the directories of entries as `systemd-tmpfiles` takes them."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ...core.layouts import STORE
from . import at

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_SHARE_SECONDS: Final = 3.0
"""How long to wait for a process that is deleting a link or a socket, which takes an instant."""

_TURN_SECONDS: Final = 0.25
"""How long to wait for a turn to ask for a lock; a turn takes microseconds."""


def has_locks() -> bool:
    """Whether the system has locks that end with the last descriptor of a file."""
    return fcntl is not None


def _try_lock(descriptor: int, *, shared: bool = False) -> bool | None:
    """Whether this descriptor now holds the lock, and does not wait for it; `None` where the system
    or the filesystem has no locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def lock_file(descriptor: int) -> bool:
    """Whether nobody else holds a lock on the file; if so, this descriptor now does.

    Where there are no locks, nobody does: readers find that out as well.
    """
    return _try_lock(descriptor) is not False


def unlock_file(descriptor: int) -> None:
    """Give up that lock, even if another process has inherited the descriptor."""
    if fcntl is not None:
        try:  # noqa: SIM105 - for every entry, and `suppress` takes longer
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        except OSError:
            pass


def is_file_locked(descriptor: int) -> bool | None:
    """Whether somebody holds an exclusive lock on the file; `None` where that cannot be told."""
    # Shared, so that two readers never take each other for the owner.
    got = _try_lock(descriptor, shared=True)
    if got:
        unlock_file(descriptor)
    return None if got is None else not got


def lock_directory(root: Path, descriptor: int) -> bool:
    """Whether nobody else holds a lock on the directory; if so, this descriptor now does.

    The lock is `flock`, exclusive, as `systemd-tmpfiles` takes it; the directory is an entry of
    `root`, or claimed. Where there are no locks, nobody does.
    """
    return lock_directories(root, (descriptor,))[0]


def lock_directories(root: Path, descriptors: Sequence[int]) -> list[bool]:
    """As `lock_directory`, for each of several directories, in one turn."""
    if not at.RELATIVE:
        return [True] * len(descriptors)
    with _turn(root):
        return list(map(lock_file, descriptors))


def share_directory(descriptor: int) -> bool:
    """Keep others from an exclusive lock on the directory; not if somebody keeps holding one."""
    if not at.RELATIVE:
        return True
    end = time.monotonic() + _SHARE_SECONDS
    while _try_lock(descriptor, shared=True) is False:
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def is_locked_at(root: Path, path: str | os.PathLike[str], *, dir_fd: int | None = None) -> bool:
    """As `is_locked`, for what is at `path`: a file or a directory, as nothing else is locked.

    Raises `OSError` if it cannot be opened.
    """
    mode = at.stat(os.fspath(path), dir_fd=dir_fd, follow_symlinks=False).st_mode
    if not at.RELATIVE or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return False  # to open a FIFO or a device may do something
    descriptor = at.open(os.fspath(path), at.ANY_FLAGS, dir_fd=dir_fd)
    try:
        return is_locked(root, descriptor)
    finally:
        at.close(descriptor)


def is_locked(root: Path, descriptor: int) -> bool:
    """Whether anybody holds a lock on the directory, shared or exclusive; it stays as it is."""
    return are_locked(root, (descriptor,))[0]


def is_root_locked(root: Path) -> bool:
    """Whether anybody holds a lock on `root` itself, for longer than a turn takes. Raises `OSError`
    if it cannot be opened.
    """
    if not at.RELATIVE:
        return False
    descriptor = at.open(root, at.ROOT_FLAGS)
    try:
        return not _gets_lock(descriptor)
    finally:
        at.close(descriptor)


def are_locked(root: Path, descriptors: Sequence[int]) -> list[bool]:
    """As `is_locked`, for each of several directories, in one turn."""
    if not at.RELATIVE:
        return [False] * len(descriptors)
    with _turn(root):
        return list(map(_is_locked, descriptors))


def _is_locked(descriptor: int) -> bool:
    got = _try_lock(descriptor)
    if got:
        unlock_file(descriptor)
    return got is False


@contextlib.contextmanager
def _turn(root: Path) -> Iterator[None]:
    """Make the scans and sweeps of `root` ask for locks one after the other.

    A process that asks for a lock holds it for an instant, and another would take that for in use.
    A turn is a lock on the store's directory (on the root if there is none yet). A process that
    does not get one in time, because another was stopped during its turn, asks anyway.
    """
    descriptor: int | None = None
    for path in (os.path.join(root, STORE), root):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY)
            break
    try:
        if descriptor is not None:
            _gets_lock(descriptor)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _gets_lock(descriptor: int) -> bool:
    """Whether this descriptor gets the lock while a turn may last; then it holds it."""
    end = time.monotonic() + _TURN_SECONDS
    while not (free := lock_file(descriptor)) and time.monotonic() < end:
        time.sleep(0.0002)
    return free
