"""Who made an entry, and whether it is in use: owner files, records and locks.

A process holds one locked owner file for each root. The kernel drops the lock when the process
dies, by whatever signal, and it is right across containers and recycled process ids, where a pid
in a file is not. The owner file is also a journal: one line for each entry that the process made
(`+debug/demo_1696348800`) or gave up (`-…`), so that a record costs one `write` to an open
descriptor, and needs no file of its own. A process that runs tests holds a second and a third: one
for what its tests make for the while, and one for what they leave (`Book`).

A lock ends with the last descriptor of it, and a process may close what it does not know of, or
run another program. So its first line also says which process it is, for certain (`presence`), and
each forked child adds a line for itself: while one of them runs, the entries are in use. And a lock
may not reach: what an owner of another system, or one that sees the filesystem otherwise, has
recorded counts as in use until it has been unchanged for a while.

The order of writes is what makes it safe. A record is written *before* the directory is made, and
a scan reads the records *after* it has listed the directories: what it sees has its record.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import json
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from ...core.layout import OWNERS, STORE
from ..system.at import PLAIN_FLAGS
from ..system.locks import has_locks, lock_file
from ..system.presence import Presence, presence_here, start_of
from ..system.processes import note_helper, spell_command
from .guard import check_store, is_gone
from .journal import LEFT, fork_line, has_living_forks
from .journal import PLAIN as PLAIN
from .journal import Book as Book

_CURRENT_TEST: Final = "PYTEST_CURRENT_TEST"
"""The variable by which a process knows, and all that it starts, which test it is in."""

_COMPACT_AFTER = 20_000
_HELD_ON: Final = Book(handed="by a process that was forked")


# -- owning -----------------------------------------------------------------------------------


class _OwnerFile(NamedTuple):
    """An owner file of this process, or of one that this was forked from."""

    id: str
    path: str
    descriptor: int
    identity: tuple[int, int]
    header: bytes

    def is_open(self) -> bool:
        """Whether the descriptor is still this file, and not closed or another file by now.

        Code that closes all that it did not open itself, as daemons do, leaves the number to
        whatever is opened next. Asked before each write and close. (What another thread does
        between is too late to be seen.) The inode alone does not tell: once the owner file is
        gone, a new file may have got it.
        """
        return self._has_identity() and self.has_header()

    def has_header(self) -> bool:
        """As `is_open`, by the first line alone: that is enough for a line more, and quicker."""
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
        """Whether `line` could be appended to the file, where others look for it."""
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

    def give_up(self, *, keep: bool) -> None:
        """End this process's share: the file goes, or stays and says that its owner has left it."""
        if keep:
            self.note(LEFT + b"\n")
            if self.is_open():
                os.close(self.descriptor)
        elif self.is_open():
            _discard(self.path, self.descriptor)
        else:
            with contextlib.suppress(OSError):
                os.unlink(self.path)


class Owner:
    """The calling process as the owner of entries in one root; made by `owner_of`."""

    def __init__(self, root: str, book: Book = PLAIN) -> None:
        self.root = root
        self.book = book
        self.pid = os.getpid()
        # How often each is recorded: of two threads that try one name, the loser gives it up.
        self.live: dict[str, int] = {}
        self._forks = 0
        self._lines = 0
        # A signal's handler and a finalizer may interrupt the very thread that holds it.
        self._lock = threading.RLock()
        self._is_writing = False
        self._given_up: deque[str] = deque()
        self._closed = False
        # One value, so that a thread that looks on while it is replaced never sees halves of two.
        self._file = self._open()

    @property
    def id(self) -> str:
        """The name of the owner file."""
        return self._file.id

    @property
    def path(self) -> str:
        """Where the owner file is."""
        return self._file.path

    @property
    def descriptor(self) -> int:
        """The open owner file, by which the lock is held."""
        return self._file.descriptor

    def is_locked(self) -> bool:
        """Whether the descriptor holds the lock, and is not anybody's by now."""
        return not self._closed and self._file.is_open()

    def _open(self) -> _OwnerFile:
        directory = os.path.join(self.root, STORE, OWNERS)
        while True:
            name = f"{int(time.time())}-{self.pid}-{os.urandom(4).hex()}"
            path = os.path.join(directory, name)
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | PLAIN_FLAGS
            descriptor = os.open(path, flags, 0o644)
            try:
                # A sweep that found the file before it was locked took it for a dead owner's.
                if lock_file(descriptor) and (status := os.fstat(descriptor)).st_nlink == 1:
                    if hasattr(os, "fchmod"):
                        # Whatever the umask: other users' sweeps have to read it. Where the root
                        # is private, nobody comes here.
                        os.fchmod(descriptor, 0o644)
                    header = _header(presence_here(descriptor), self.book)
                    _append(descriptor, header)
                    identity = (status.st_dev, status.st_ino)
                    return _OwnerFile(name, path, descriptor, identity, header)
            except BaseException:
                _discard(path, descriptor)
                raise
            _discard(path, descriptor)

    def note(self, line: bytes) -> bool:
        """Whether `line` could be added to the owner file, in whatever process."""
        return self._file.note(line)

    def is_current(self) -> bool:
        """Whether the owner file is still where others look for it (`rm -rf .tmp` ends that)."""
        while True:
            file = self._file
            try:
                status = os.stat(file.path)
                current = (status.st_dev, status.st_ino) == file.identity
            except OSError:
                current = False
            if current or file is self._file:  # otherwise another thread has just replaced it
                return current

    def record(self, relative: str) -> None:
        """Note that the entry at `relative` is about to be made by this process.

        Raises `FileNotFoundError` if the owner was replaced, because its file was removed.
        """
        self.record_all((relative,))

    def record_all(self, paths: Collection[str]) -> None:
        """As `record`, for several entries in one write."""
        with self._lock:
            if self._closed:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._file.path)
            was_writing, self._is_writing = self._is_writing, True
            try:
                was_lost = not self._file.has_header()
                if was_lost:
                    self._renew()
                _append(self._file.descriptor, _taken(paths))
                for relative in paths:
                    self.live[relative] = self.live.get(relative, 0) + 1
                self._lines += len(paths)
            finally:
                self._is_writing = was_writing
                if not was_writing:
                    self._release_given_up()
        if was_lost:  # then those of other roots are lost as well
            for other in tuple(_owners.values()):
                with contextlib.suppress(OSError):
                    other.regain()

    def regain(self) -> None:
        """Hold the lock again if somebody closed the descriptor. Raises `OSError` if it cannot."""
        with self._lock:
            if self.pid == os.getpid() and not self._closed and not self._file.is_open():
                self._renew()

    def release(self, relative: str) -> None:
        """Note that the entry at `relative` is no longer this process's.

        By who interrupts a thread that is writing here, that thread will note it when it goes on.
        """
        self._given_up.append(relative)
        with self._lock:
            if not self._is_writing:
                self._release_given_up()

    def _release_given_up(self) -> None:
        while self._given_up:
            self._is_writing = True
            try:
                self._release(self._given_up.popleft())
            finally:
                self._is_writing = False

    def _release(self, relative: str) -> None:
        left = self.live.pop(relative, 0) - 1
        if left > 0:
            self.live[relative] = left
        if left != 0 or self._closed:
            return
        if self.book == PLAIN:  # others that have got the descriptor keep the lock
            close(self.root, Book(handed=relative))
        # On a full disk the line cannot be written; the record then ends with the process.
        with contextlib.suppress(OSError):
            if self._file.is_open():
                _append(self._file.descriptor, os.fsencode(f"-{relative}\n"))
            else:
                self._renew()
        self._lines += 1
        self._compact()

    def note_fork(self) -> None:
        """Count the line that a child is about to add for itself."""
        if self.live:
            self._forks += 1
            self._lines += 1

    def tidy(self) -> None:
        """Compact the journal if it is large, unless somebody is writing to it."""
        if self._lines > _COMPACT_AFTER and self._lock.acquire(blocking=False):
            try:
                if not self._is_writing and not self._closed:
                    self._compact()
            finally:
                self._lock.release()

    def _compact(self) -> None:
        """Go over to a new owner file that holds only what is live, if this has become large."""
        if self._lines > _COMPACT_AFTER and len(self.live) * 2 < self._lines:
            self._lines = len(self.live)
            with contextlib.suppress(OSError):
                self._renew()

    def _renew(self) -> None:
        """Go over to a new owner file that holds only what is live. Raises `OSError`.

        The new one is complete and locked before the old name goes, and the old lock is dropped
        last: a reader that finds the old file unlocked also finds that it has no name any more,
        and looks again. The old one stays while a forked child runs, which may work in an entry
        that was live at the fork, and which the old file alone protects.
        """
        fresh = self._open()
        kept = sorted(self.live)
        try:
            _append(fresh.descriptor, _taken(kept))
        except OSError:
            _discard(fresh.path, fresh.descriptor)
            raise
        old, self._file = self._file, fresh
        self._lines = len(kept)
        for path in sorted(self.live.keys() - set(kept)):  # recorded by who interrupted this
            with contextlib.suppress(OSError):
                _append(fresh.descriptor, _taken((path,)))
        forks, self._forks = self._forks, 0
        old.give_up(keep=forks > 0 and has_living_forks(old.path, old.identity, forks))

    def replace_by(self, other: Owner) -> None:
        """Hand over to `other`, since this one's file is gone and entries may still be there."""
        with self._lock:
            for relative, times in sorted(self.live.items()):
                with contextlib.suppress(OSError):
                    other.record(relative)
                    other.live[relative] += times - 1
            self._closed = True
            if self._file.is_open():
                os.close(self._file.descriptor)

    def close(self) -> None:
        """End the lease; without live entries the owner file goes too."""
        with self._lock:
            self._closed = True
            gone = all(is_gone(os.path.join(self.root, path)) for path in self.live)
            self._file.give_up(keep=not gone)


_owners: dict[tuple[str, Book], Owner] = {}
_owners_lock = threading.Lock()


def owner_of(root: str, book: Book = PLAIN) -> Owner:
    """The calling process's owner in `root` (an absolute path), made at first use.

    Raises `FileNotFoundError` where the root has no place for owner files yet, or as `check_store`.
    """
    key = (root, book)
    owner = _owners.get(key)
    if owner is not None and owner.pid == os.getpid() and owner.is_current():
        return owner
    with _owners_lock:
        owner = _owners.get(key)
        if owner is None or owner.pid != os.getpid() or not owner.is_current():
            check_store(Path(root))
            stale, owner = owner, Owner(root, book)
            if stale is not None and stale.pid == os.getpid():
                stale.replace_by(owner)
            _owners[key] = owner
        return owner


def ids_of_own() -> set[str]:
    """The names of all owner files that this process holds, in whatever root."""
    return {owner.id for owner in tuple(_owners.values()) if owner.pid == os.getpid()}


def own(root: str, book: Book = PLAIN) -> Owner | None:
    """The calling process's owner in `root`, if it has one."""
    owner = _owners.get((root, book))
    return owner if owner is not None and owner.pid == os.getpid() else None


def release(root: str, relative: str, book: Book = PLAIN) -> None:
    """Give up this process's record of the entry at `relative`, if it has one."""
    owner = own(root, book)
    if owner is not None:
        owner.release(relative)


def close(root: str, book: Book) -> None:
    """End this process's lease on all that is noted in `book`, if it has one; the notes stay."""
    owner = own(root, book)
    if owner is not None:
        del _owners[root, book]
        with contextlib.suppress(OSError):
            os.utime(owner.path)  # a run of tests is as new as its end
        owner.close()


_inherited: list[Owner] = []
"""The owners of the process that this was forked from, which had live entries then."""

_helping = threading.local()
"""Whether this very thread forks a process that keeps no lease."""


def _before_fork() -> None:
    if getattr(_helping, "is_at_it", False):
        return
    # A child writes its line into the files of its parent alone, which counts them.
    while _inherited:
        _hold_on(_inherited.pop())
    for owner in tuple(_owners.values()):
        owner.tidy()  # while the children so far have told of themselves
        owner.note_fork()


def _after_fork_in_child() -> None:
    """Make the child its own owner, and say in its parent's files that it goes on there.

    The inherited descriptors stay open on purpose: while the child runs and leaves them open, it
    keeps the lock, and so the entries of its parent, in which it may be working. The line holds
    when it has closed them, where processes can be told.
    """
    global _owners_lock
    _owners_lock = threading.Lock()
    owners = [owner for owner in _owners.values() if owner.live]
    _owners.clear()
    _inherited.clear()
    if getattr(_helping, "is_at_it", False):
        return
    start = start_of(os.getpid()) if owners else 0
    for owner in owners:
        if not start or owner.note(fork_line(os.getpid(), start)):
            _inherited.append(owner)
        else:  # its parent has gone over to another file at this moment
            _hold_on(owner)


def _hold_on(stale: Owner) -> None:
    """Hold what was live when this process was forked from the owner `stale`."""
    live = [path for path in stale.live if not is_gone(os.path.join(stale.root, path))]
    if live:
        with contextlib.suppress(OSError):
            owner_of(stale.root, _HELD_ON).record_all(live)


def fork_helper(work: Callable[[], None]) -> int:
    """The id of a forked child that does `work` and ends, and keeps no lease of this process.

    Whatever happens in it, it never comes back: there would be two of everything.
    """
    parent = os.getpid()
    owners = (*_owners.values(), *_inherited)
    # A signal that came now would be lost: what its handler raises in a fork's hook is discarded.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    _helping.is_at_it = True
    try:
        pid = os.fork()
        if pid:
            note_helper(pid)
            return pid
    finally:
        _helping.is_at_it = False
        if os.getpid() == parent:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    code = 1
    try:
        # A Ctrl-C goes to all processes of the terminal; the parent decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        let_go_of(owner.descriptor for owner in owners if owner.is_locked())
        work()
        code = 0
    finally:
        os._exit(code)


def let_go_of(descriptors: Iterable[int]) -> None:
    """Drop this process's share in the locks that are held by `descriptors`, inherited by a fork.

    They are replaced, not closed: the number stays taken, so that no later close of it can hit
    what another file has got it for.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in set(descriptors) - {nothing}:
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)


def _close_all() -> None:
    for owner in tuple(_owners.values()):
        if owner.pid == os.getpid():
            with contextlib.suppress(OSError):
                owner.close()
    _owners.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
atexit.register(_close_all)


def _header(presence: Presence, book: Book) -> bytes:
    said = {
        "pid": presence.pid,
        "command": spell_command(sys.orig_argv),
        "started": int(time.time()),
        "host": host_name(),
        "test": os.environ.get(_CURRENT_TEST, "").rpartition(" ")[0],  # without its phase
        **presence._asdict(),
        **book._asdict(),
    }
    kept = {key: value for key, value in said.items() if value != "" and value != 0}
    return json.dumps({"command": "", "host": "", **kept}).encode() + b"\n"


def _taken(paths: Iterable[str]) -> bytes:
    """The lines by which those entries are recorded."""
    return os.fsencode("".join(f"+{path}\n" for path in paths))


def host_name() -> str:
    """What this machine calls itself."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


def _discard(path: str, descriptor: int) -> None:
    if not has_locks():  # Windows, which unlinks nothing that is open, and knows no such lock
        os.close(descriptor)
    with contextlib.suppress(OSError):
        os.unlink(path)
    if has_locks():
        os.close(descriptor)


def _append(descriptor: int, data: bytes) -> None:
    """Append `data` as a whole or not at all."""
    written = os.write(descriptor, data)
    if written != len(data):
        # A disk that fills up midway leaves half a line, to which the next would be glued.
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# -- locks ------------------------------------------------------------------------------------


# -- reading ----------------------------------------------------------------------------------


# -- locks on the entry's own directory ---------------------------------------------------------
