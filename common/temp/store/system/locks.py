"""Locks (`flock`) on files, and on the directories of entries as `systemd-tmpfiles` takes them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...core.layout import STORE
from . import at

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_SHARE_SECONDS: Final = 3.0
"""How long to wait for whoever deletes a link or a socket just now, which takes an instant."""

_TURN_SECONDS: Final = 0.25
"""How long to wait for one's turn to ask for a lock; a turn takes microseconds."""


def has_locks() -> bool:
    """Whether the system has locks that end with the last descriptor of a file."""
    return fcntl is not None


def lock_file(descriptor: int) -> bool:
    """Whether nobody else holds a lock on the file; if so, this descriptor now does.

    Where the system or the filesystem has no locks, nobody does: readers find that out as well.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def unlock_file(descriptor: int) -> None:
    """Give up that lock, whoever else has inherited the descriptor."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def is_file_locked(descriptor: int) -> bool | None:
    """Whether somebody holds an exclusive lock on the file; `None` where that cannot be told."""
    if fcntl is None:
        return None
    try:
        # Shared, so that two readers never take each other for the owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None  # a filesystem without locks
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def lock_directory(root: Path, descriptor: int) -> bool:
    """Whether nobody else holds a lock on the directory; if so, this descriptor now does.

    The lock is `flock`, exclusive, as `systemd-tmpfiles` takes it; the directory is an entry of
    `root`, or claimed. Where the filesystem has no locks, nobody does.
    """
    if fcntl is None or not at.RELATIVE:
        return True
    with _turn(root):
        return lock_file(descriptor)


def share_directory(descriptor: int) -> bool:
    """Keep anybody from an exclusive lock on the directory; not if somebody goes on holding one."""
    if fcntl is None or not at.RELATIVE:
        return True
    end = time.monotonic() + _SHARE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
            continue
        except OSError:
            pass
        return True


def is_locked(root: Path, descriptor: int) -> bool:
    """Whether anybody holds a lock on the directory, shared or exclusive; it stays as it is."""
    if fcntl is None or not at.RELATIVE:
        return False
    with _turn(root):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False


@contextlib.contextmanager
def _turn(root: Path) -> Iterator[None]:
    """Let the scans and sweeps of `root` ask for locks one after the other.

    Whoever asks for a lock holds it for an instant, in which another would take it for in use.
    A turn is a lock on the store's directory (of the root, where there is none yet). Whoever does
    not get one in time, since some process was stopped in its turn, asks all the same.
    """
    descriptor: int | None = None
    for path in (os.path.join(root, STORE), root):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY)
            break
    try:
        end = time.monotonic() + _TURN_SECONDS
        while descriptor is not None and not lock_file(descriptor) and time.monotonic() < end:
            time.sleep(0.0002)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
