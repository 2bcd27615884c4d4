"""Locks (`flock`) on files, and on entry directories, by the convention of `systemd-tmpfiles`."""

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
"""How long to wait for a process that is deleting a symlink or a socket, which takes an instant."""

_TURN_SECONDS: Final = 0.25
"""How long to wait for a turn to ask for a lock; a turn takes microseconds."""


def has_locks() -> bool:
    """Whether the system has locks that are released with a file's last descriptor."""
    return fcntl is not None


def _try_lock(descriptor: int, *, shared: bool = False) -> bool | None:
    """Try to lock without waiting; return whether this descriptor now holds the lock, or `None` if
    the system or the filesystem has no locks.
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
    """Lock the file; return `False` if another process holds a lock on it.

    Without support for locks the result is `True`; readers notice the lack themselves.
    """
    return _try_lock(descriptor) is not False


def unlock_file(descriptor: int) -> None:
    """Release the lock, even if another process has inherited the descriptor."""
    if fcntl is not None:
        try:  # noqa: SIM105 - runs for every entry, and `suppress` is slower
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        except OSError:
            pass


def is_file_locked(descriptor: int) -> bool | None:
    """Whether any process holds an exclusive lock on the file; `None` if that is unknown."""
    # Shared, so that two readers never mistake each other for the owner.
    got = _try_lock(descriptor, shared=True)
    if got:
        unlock_file(descriptor)
    return None if got is None else not got


def lock_directory(root: Path, descriptor: int) -> bool:
    """Lock the directory; return `False` if another process holds a lock on it.

    The lock is an exclusive `flock`, as `systemd-tmpfiles` takes; the directory is an entry of
    `root`, or claimed. Without support for locks the result is `True`.
    """
    return lock_directories(root, (descriptor,))[0]


def lock_directories(root: Path, descriptors: Sequence[int]) -> list[bool]:
    """As `lock_directory`, for each of several directories, in one turn."""
    if not at.RELATIVE:
        return [True] * len(descriptors)
    with _turn(root):
        return list(map(lock_file, descriptors))


def share_directory(descriptor: int) -> bool:
    """Take a shared lock on the directory; return `False` if another process keeps an exclusive
    one.
    """
    if not at.RELATIVE:
        return True
    end = time.monotonic() + _SHARE_SECONDS
    while _try_lock(descriptor, shared=True) is False:
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def is_locked_at(root: Path, path: str | os.PathLike[str], *, dir_fd: int | None = None) -> bool:
    """As `is_locked`, for the file or directory at `path`; false for anything else.

    Raises `OSError` if it cannot be opened.
    """
    mode = at.stat(os.fspath(path), dir_fd=dir_fd, follow_symlinks=False).st_mode
    if not at.RELATIVE or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return False  # opening a FIFO or a device can have side effects
    descriptor = at.open(os.fspath(path), at.ANY_FLAGS, dir_fd=dir_fd)
    try:
        return is_locked(root, descriptor)
    finally:
        at.close(descriptor)


def is_locked(root: Path, descriptor: int) -> bool:
    """Whether any process holds a shared or exclusive lock on the directory."""
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
    """Make the scans and sweeps of `root` test locks one at a time.

    A process that tests a lock holds it for an instant, which another would mistake for use. A
    turn is a lock on the store's directory (on the root if there is none yet). A process that does
    not get a turn in time, because another was stopped during its own, tests anyway.
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
