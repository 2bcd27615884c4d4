"""Where other filesystems are mounted below a directory, bind mounts included."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import select
import sys
import time
from collections.abc import Callable, Iterable
from typing import Final

from ...core.layouts import HOLDING, STORE, UNDO
from ...errors import Refused, StorageError
from . import at

_TABLE: Final = "/proc/self/mountinfo"
_NO_TABLE: Final = (FileNotFoundError, PermissionError)
_RELIED_ON_SECONDS: Final = 1.0
_TMPFS: Final = 0x0102_1994
_COUNTING: Final = frozenset({0xEF53, _TMPFS, 0x5846_5342})
"""The `statfs` type numbers of ext2 to ext4, tmpfs and XFS."""
_OVERLAY: Final = 0x794C_7630


def mounts_below(directory: str) -> frozenset[str]:
    """The mount points strictly below `directory`, relative to it, with `/` between their parts.

    Read from `/proc/self/mountinfo`. Without that file the result is empty, and only a change of
    device number reveals a mount; a bind mount of the same filesystem has none. Raises
    `StorageError` if the table exists and cannot be read.
    """
    try:
        with open(_TABLE, "rb") as file:
            points = _points(file.read())
    except _NO_TABLE:
        return frozenset()
    except OSError as error:
        raise StorageError.of(f"cannot read {_TABLE}", error) from error
    prefix = os.fsencode(os.path.realpath(directory)).rstrip(b"/") + b"/"
    return frozenset(
        os.fsdecode(point[len(prefix) :]) for point in points if point.startswith(prefix)
    )


def counts_subdirectories(descriptor: int) -> bool:
    """Whether the filesystem of an open directory counts a directory's subdirectories in its link
    count, so that a directory with two links has no subdirectories.

    True only for ext2 to ext4, tmpfs and XFS: others, such as some FUSE ones, always report 2.
    """
    return _filesystem(descriptor) in _COUNTING


def is_in_memory(descriptor: int) -> bool:
    """Whether an open directory is on a tmpfs, where no operation waits for a disk."""
    return _filesystem(descriptor) == _TMPFS


def is_overlay(descriptor: int) -> bool:
    """Whether an open directory is on an overlay, as in containers: files in its lower layers have
    another device number, and directories there cannot be renamed.
    """
    return _filesystem(descriptor) == _OVERLAY


def _filesystem(descriptor: int) -> int:
    """The filesystem's type number from `statfs`; 0 if unknown."""
    if sys.platform != "linux" or not at.RELATIVE:
        return 0
    import ctypes

    told = ctypes.create_string_buffer(256)
    ask = _fstatfs()
    if ask is None or ask(descriptor, told):
        return 0
    return ctypes.c_ulong.from_buffer(told).value


@functools.cache
def _fstatfs() -> Callable[..., int] | None:
    import ctypes

    try:
        call: Callable[..., int] = ctypes.CDLL(None).fstatfs
    except (AttributeError, OSError):
        return None
    return call


def check_store_unmounted(root: str, points: Iterable[str]) -> None:
    """Raise `Refused` if one of the mount `points` (relative to `root`) hides part of its store.

    The mounted files are not this program's, and the hidden ones may include a lease or a pin. A
    mount inside a single claimed or undoable entry affects only that entry.
    """
    for point in sorted(points):
        part = point.removeprefix(f"{STORE}/")
        if point != STORE and part == point:
            continue
        above, _, below = part.partition("/")
        if above in (HOLDING, UNDO) and below and not below.startswith(STORE):
            continue
        raise Refused(
            f"{root}/{point} is a mount point, and hides what tempkeep keeps there; unmount it"
        )


def _points(table: bytes) -> tuple[bytes, ...]:
    return tuple(unescape(columns[4]) for columns in rows(table))


def rows(table: bytes) -> list[list[bytes]]:
    """The columns of each line of a mount table; a path may contain anything but a newline."""
    return [line.split(b" ") for line in table.split(b"\n") if line]


def unescape(field: bytes) -> bytes:
    """The path in a field of a mount table."""
    if b"\\" not in field:
        return field
    import re  # needed only for a path with a space in it, which is rare

    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field)


class MountWatch:
    """All mount points, read again only when they may have changed.

    The kernel signals a change as an exceptional condition on the open table (proc(5)); the mount
    points are read again after a second in any case. Close the watch after use. Raises `OSError`
    if the table exists and cannot be read.
    """

    def __init__(self) -> None:
        self._known: tuple[bytes, ...] = ()
        self._read_at = float("-inf")
        self._file: io.FileIO | None = None
        with contextlib.suppress(*_NO_TABLE):
            self._file = io.FileIO(_TABLE)
            self._poll = select.poll()
            self._poll.register(self._file, select.POLLPRI)

    def points(self) -> tuple[bytes, ...]:
        """The absolute paths of all mount points, symlinks resolved; none without a table."""
        if self._file is None:
            return ()
        now = time.monotonic()
        if self._poll.poll(0) or now - self._read_at > _RELIED_ON_SECONDS:
            self._file.seek(0)
            self._known = _points(self._file.readall())
            self._read_at = now
        return self._known

    def close(self) -> None:
        """Close the table."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
