"""The owner file of a process: locked, and appended to while its descriptor is still that file."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Final

from ...core.layouts import OWNERS, STORE
from ...core.named_tuple import NamedTuple
from ...errors import TempError
from ..system import at
from ..system.at import PLAIN_FLAGS
from ..system.creation_time import born_at
from ..system.locks import has_locks, lock_file
from ..system.opening import opened
from ..system.own_files import open_own
from ..system.process_identity import Presence, host_name, presence_here
from ..system.procfs import spell_command
from .owner_file_reading import LEFT
from .owner_kinds import Book

_CURRENT_TEST: Final = "PYTEST_CURRENT_TEST"
"""The variable that names the current test, for a process and all processes that it starts."""


_MADE_WITHIN: Final = 10.0
"""How many seconds the creation of an owner file may be before or after the time in its name."""


class OwnerFile(NamedTuple):
    """An owner file of this process, or of the process that it was forked from."""

    id: str
    path: str
    descriptor: int
    identity: tuple[int, int]
    header: bytes
    namespace: str
    """The PID namespace of its process, as in `Presence`."""

    def is_open(self) -> bool:
        """Whether the descriptor is still this file, and not closed or reused for another file.

        Code that closes all descriptors that it did not open, as daemons do, frees the number for
        the next file opened. This is checked before each write and close. (Accepted race: another
        thread closes it in between.) The inode alone is not enough: once the owner file is gone, a
        new file may have the same one.
        """
        return self._has_identity() and self.has_header()

    def has_header(self) -> bool:
        """Like `is_open`, but checks only the first line: faster, and enough for appending."""
        if not hasattr(os, "pread"):
            return self._has_identity()
        try:
            return os.pread(self.descriptor, len(self.header), 0) == self.header
        except OSError:
            return False

    def _has_identity(self) -> bool:
        try:
            status = os.fstat(self.descriptor)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self.identity

    def note(self, line: bytes) -> bool:
        """Append `line` to the file at its path, where others read it; false if that failed."""
        try:
            if self.is_open():
                if not os.fstat(self.descriptor).st_nlink:
                    return False
                _append(self.descriptor, line)
                return True
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | PLAIN_FLAGS)
            try:
                status = os.fstat(descriptor)
                if (status.st_dev, status.st_ino) != self.identity:
                    return False
                _append(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError:
            return False
        return True

    def touch(self) -> None:
        """Set the modification time, which says when the process was alive. Raises `OSError`."""
        if self.is_open():
            os.utime(self.descriptor if os.utime in os.supports_fd else self.path)

    def append(self, line: bytes) -> None:
        """Append `line` as a whole or not at all. Raises `OSError`."""
        _append(self.descriptor, line)

    def discard(self) -> None:
        """Remove and close the file."""
        _discard(self.path, self.descriptor)

    def give_up(self, *, keep: bool) -> None:
        """End this process's leases: remove the file, or with `keep`, mark it as left."""
        if keep:
            self.note(LEFT + b"\n")
            if self.is_open():
                os.close(self.descriptor)
        elif self.is_open():
            self.discard()
        else:
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def open_new(root: str, book: Book) -> OwnerFile:
    """A new owner file of the calling process in `root`, locked. Raises `OSError`."""
    directory = os.path.join(root, STORE, OWNERS)
    while True:
        name = f"{int(time.time())}-{os.getpid()}-{os.urandom(4).hex()}"
        path = os.path.join(directory, name)
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | PLAIN_FLAGS
        descriptor = os.open(path, flags, 0o644)
        try:
            # A sweep may have found the file before it was locked, and removed it as dead.
            if lock_file(descriptor) and (status := os.fstat(descriptor)).st_nlink == 1:
                if hasattr(os, "fchmod"):
                    # Override the umask: other users' sweeps have to read it. In a private
                    # root, they cannot reach it anyway.
                    os.fchmod(descriptor, 0o644)
                presence = presence_here(descriptor)
                header = _header(presence, book)
                _append(descriptor, header)
                identity = (status.st_dev, status.st_ino)
                return OwnerFile(name, path, descriptor, identity, header, presence.namespace)
        except BaseException:
            _discard(path, descriptor)
            raise
        _discard(path, descriptor)


def _header(presence: Presence, book: Book) -> bytes:
    said = {
        "pid": presence.pid,
        "command": spell_command(sys.orig_argv),
        "started": int(time.time()),
        "host": host_name(),
        "test": os.environ.get(_CURRENT_TEST, "").rpartition(" ")[0],  # without the phase
        **presence._asdict(),
        **book._asdict(),
    }
    kept = {key: value for key, value in said.items() if value != "" and value != 0}
    return json.dumps({"command": "", "host": "", **kept}).encode() + b"\n"


def taken(paths: Iterable[str], inodes: Mapping[str, int]) -> bytes:
    """The lines that record those entries, with the inodes of their directories where known."""
    lines = (f"+{path}\n{found(path, inodes[path]) if path in inodes else ''}" for path in paths)
    return os.fsencode("".join(lines))


def found(path: str, inode: int) -> str:
    """The line that records the inode of an entry's directory."""
    return f"={inode} {path}\n"


def last_alive(path: str, written: float) -> float:
    """When the process of the owner file at `path`, last `written` at that time, was last alive.

    An mtime can be set to any value, but a ctime cannot, so the earlier of the two counts. If the
    file was not created at the time in its name, it was unpacked or copied: the result is 0.0,
    which is before all entries. The same goes for a time in the future: the clock was ahead then.
    """
    born = born_at(path)
    named = os.path.basename(path).partition("-")[0]
    if born is not None and not (named.isdigit() and abs(int(named) - born) <= _MADE_WITHIN):
        return 0.0
    try:
        last = min(written, os.lstat(path).st_ctime) if hasattr(os, "geteuid") else written
    except OSError:
        return 0.0
    return last if last <= time.time() else 0.0


def unlink_if_dead(name: str, identity: tuple[int, int], owners: int) -> None:
    """Remove the owner file `name` from the open directory, if it has that `identity` and no
    process holds its lock.
    """
    with contextlib.suppress(OSError):
        if not has_locks():
            at.unlink(name, dir_fd=owners)  # fails on such systems while a process has it open
            return
        descriptor = at.open_file(name, os.O_RDWR, dir_fd=owners)
        try:
            # While the lock is held here, no process can take over the file: a new owner checks,
            # after locking, that its file still has a name.
            if _identity(descriptor) == identity and lock_file(descriptor):
                at.unlink(name, dir_fd=owners)
        finally:
            os.close(descriptor)


def strike(file: str, identity: tuple[int, int], relative: str) -> None:
    """Record in the owner file of an ended process that it no longer holds `relative`, if the file
    has that `identity` and is writable. Its modification time, which says when the process was
    alive, is kept.
    """
    place, name = os.path.split(file)
    with contextlib.suppress(OSError, TempError), opened(place) as owners:
        flags = os.O_RDWR | os.O_APPEND
        descriptor = open_own(name, flags, dir_fd=owners, place=place)
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) != identity:
                return  # by now, the path leads to another file
            os.lseek(descriptor, -1, os.SEEK_END)
            if os.read(descriptor, 1) == b"\n":  # else it would be glued to a half line
                _append(descriptor, os.fsencode(f"-{relative}\n"))
            where = descriptor if os.utime in os.supports_fd else file
            os.utime(where, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            os.close(descriptor)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _append(descriptor: int, data: bytes) -> None:
    """Append `data` as a whole or not at all."""
    written = os.write(descriptor, data)
    if written != len(data):
        # The disk is full. Remove the half line, or the next line would be glued to it.
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _discard(path: str, descriptor: int) -> None:
    if not has_locks():  # Windows has no such locks, and cannot unlink open files
        os.close(descriptor)
    with contextlib.suppress(OSError):
        os.unlink(path)
    if has_locks():
        os.close(descriptor)
