"""Who made an entry, and whether it is in use: owner files, records and locks.

A process holds one locked owner file for each root. The kernel drops the lock when the process
dies, by whatever signal, and it is right across containers and recycled process ids, where a pid
in a file is not. The owner file is also a journal: one line for each entry that the process made
(`+debug/demo_1696348800`) or gave up (`-…`), so that a record costs one `write` to an open
descriptor, and needs no file of its own. A process that runs tests holds a second and a third: one
for what its tests make for the while, and one for what they leave (`Book`).

A lock ends with its last descriptor, and a process may close descriptors that it does not know, or
run another program. So the first line also identifies the process (`presence`), and each forked
child adds a line for itself: while one of them runs, the entries are in use. A lock may also not
reach this process: what an owner on another system, or behind another mount, has recorded counts as
in use until it has been unchanged for a while.

The order of writes is what makes it safe. A record is written *before* the directory is made, and
a scan reads the records *after* it has listed the directories: what it sees has its record.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import threading
from collections import deque
from collections.abc import Collection
from pathlib import Path
from typing import Final

from ...errors import InvalidName
from ..system.presence import namespace, start_of
from .guard import check_store, is_gone
from .journal import OWN, Book, fork_line, has_living_forks
from .journal import PLAIN as PLAIN
from .ownerfile import found, open_new, taken

_COMPACT_AFTER = 20_000
HELD_ON: Final = Book(handed="by a process that was forked")
"""For what was live in the parent of a forked process that has another child itself."""


class Owner:
    """The calling process as the owner of entries in one root; made by `owner_of`."""

    def __init__(self, root: str, book: Book = PLAIN) -> None:
        self.root = root
        self.book = book
        self.pid = os.getpid()
        # How often each is recorded: of two threads that try one name, the loser gives it up.
        self.live: dict[str, int] = {}
        self._inodes: dict[str, int] = {}
        self._forks = 0
        self._lines = 0
        # A signal's handler and a finalizer may interrupt the very thread that holds it.
        self._lock = threading.RLock()
        self._is_writing = False
        self._given_up: deque[str] = deque()
        self._closed = False
        # One value, so that a thread that looks on while it is replaced never sees halves of two.
        self._file = open_new(self.root, self.book)

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
        """The open owner file, which holds the lock."""
        return self._file.descriptor

    def is_locked(self) -> bool:
        """Whether the descriptor still holds the lock, and was not reused."""
        return not self._closed and self._file.is_open()

    def note(self, line: bytes) -> bool:
        """Add `line` to the owner file, and return whether that worked; in any process."""
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
        """As `record`, for several entries in one write. Raises `InvalidName` for a newline, which
        would make two records of one.
        """
        for relative in paths:
            if "\n" in relative:
                raise InvalidName(f"{relative!r} cannot be recorded; use a name without a newline")
        with self._lock:
            if self._closed:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._file.path)
            was_writing, self._is_writing = self._is_writing, True
            try:
                was_lost = not self._file.has_header()
                if was_lost:
                    self._renew()
                self._file.append(taken(paths, {}))
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

    def record_made(self, relative: str) -> None:
        """Note which directory the recorded entry is that this process has made, as far as
        possible: a kill, or a full disk, leaves it unknown.
        """
        with self._lock, contextlib.suppress(OSError):
            if relative in self.live and self._file.has_header():
                inode = os.lstat(os.path.join(self.root, relative)).st_ino
                self._file.append(os.fsencode(found(relative, inode)))
                self._inodes[relative] = inode
                self._lines += 1

    def show_life(self) -> None:
        """Note that the process is alive now, for who judges later what it can have made."""
        with contextlib.suppress(OSError):
            self._file.touch()

    def regain(self) -> None:
        """Hold the lock again if somebody closed the descriptor. Raises `OSError` if it cannot."""
        with self._lock:
            if self.pid == os.getpid() and not self._closed and not self._file.is_open():
                self._renew()

    def release(self, relative: str) -> None:
        """Note that the entry at `relative` is no longer this process's.

        Called from a signal handler during a write, it is queued until the write ends.
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
        else:
            self._inodes.pop(relative, None)
        if left != 0 or self._closed:
            return
        if self.book in OWN and not _is_own(self.root, relative):
            hand_over(self.root, relative)
        # On a full disk the line cannot be written; the record then ends with the process.
        with contextlib.suppress(OSError):
            if self._file.is_open():
                self._file.append(os.fsencode(f"-{relative}\n"))
            else:
                self._renew()
        self._lines += 1
        self._compact()

    @property
    def forks(self) -> int:
        """How many children were forked since the owner file was made, while entries were live."""
        return self._forks

    @property
    def namespace(self) -> str:
        """The one in which the process was when the owner file was made, as in a `Presence`."""
        return self._file.namespace

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
        """Switch to a new owner file that holds only what is live. Raises `OSError`.

        The new one is complete and locked before the old name goes, and the old lock is dropped
        last: a reader that finds the old file unlocked also finds that it no longer has a name,
        and reads again. The old one stays while a forked child runs, which may work in an entry
        that was live at the fork and that only the old file protects.
        """
        fresh = open_new(self.root, self.book)
        kept = sorted(self.live)
        try:
            fresh.append(taken(kept, self._inodes))
        except OSError:
            fresh.discard()
            raise
        old, self._file = self._file, fresh
        self._lines = len(kept)
        for path in sorted(self.live.keys() - set(kept)):  # recorded by who interrupted this
            with contextlib.suppress(OSError):
                fresh.append(taken((path,), {}))
        forks, self._forks = self._forks, 0
        old.give_up(keep=forks > 0 and has_living_forks(old.path, old.identity, forks))

    def replace_by(self, other: Owner) -> None:
        """Hand over to `other`, since this one's file is gone and entries may still be there."""
        with self._lock:
            for relative, times in sorted(self.live.items()):
                with contextlib.suppress(OSError):
                    other.record(relative)
                    other.live[relative] += times - 1
                    if relative in self._inodes:
                        other.record_made(relative)
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
_owners_lock = threading.RLock()  # a signal's handler may interrupt the thread that holds it


def owner_of(root: str, book: Book = PLAIN) -> Owner:
    """The calling process's owner in `root` (an absolute path), made at first use.

    Raises `FileNotFoundError` where the root has no place for owner files yet, or as `check_store`.
    """
    key = (root, book)
    owner = _owners.get(key)
    if owner is not None and owner.pid == os.getpid() and owner.is_current():
        return owner
    with _owners_lock:
        while True:
            owner = _owners.get(key)
            if owner is not None and owner.pid == os.getpid() and owner.is_current():
                return owner
            check_store(Path(root))
            stale, owner = owner, Owner(root, book)
            if stale is not None and stale.pid == os.getpid():
                stale.replace_by(owner)
            if _owners.get(key) is stale:
                _owners[key] = owner
                return owner
            # A signal's handler has made one meanwhile.
            owner.replace_by(_owners[key])
            with contextlib.suppress(OSError):
                os.unlink(owner.path)


def owners_here() -> list[Owner]:
    """All owners that this process is, and those that it has inherited by a fork."""
    return [*_owners.values(), *_inherited]


def forks_of_own() -> dict[str, int]:
    """How many children were forked from each owner of this process, in all roots, by the names of
    the owner files.
    """
    mine = (owner for owner in tuple(_owners.values()) if owner.pid == os.getpid())
    return {owner.id: owner.forks for owner in mine}


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


def hand_over(root: str, relative: str) -> None:
    """Leave the entry at `relative` to who has got its descriptors from `lease_fds`."""
    close(root, Book(handed=relative))  # others that have got the descriptor keep the lock


def _is_own(root: str, relative: str) -> bool:
    """Whether the entry is noted in any book of what this process itself uses."""
    owners = (own(root, book) for book in OWN)
    return any(owner is not None and relative in owner.live for owner in owners)


_inherited: list[Owner] = []
"""The owners of the process that this was forked from, which had live entries then."""

helping = threading.local()
"""Whether this very thread forks a process that keeps no lease."""


def _before_fork() -> None:
    if getattr(helping, "is_at_it", False):
        return
    # A child writes its line into the files of its parent alone, which counts them.
    while _inherited:
        _hold_on(_inherited.pop())
    for owner in tuple(_owners.values()):
        owner.tidy()  # while the children so far have told of themselves
        owner.note_fork()


def _after_fork_in_child() -> None:
    """Make the child its own owner, and record in its parent's files that it shares the entries.

    The inherited descriptors stay open on purpose: while the child runs and leaves them open, it
    keeps the lock, and so its parent's entries, where it may be working. If it closes them, the
    recorded line still protects the entries where processes can be identified.
    """
    global _owners_lock
    _owners_lock = threading.RLock()
    owners = [owner for owner in _owners.values() if owner.live]
    _owners.clear()
    _inherited.clear()
    if getattr(helping, "is_at_it", False):
        return
    start = start_of(os.getpid()) if owners else 0
    here = namespace() if owners else ""
    for owner in owners:
        is_told_apart = here == owner.namespace  # by the numbers that are used in the file
        if is_told_apart and (not start or owner.note(fork_line(os.getpid(), start))):
            _inherited.append(owner)
        else:  # or its parent has gone over to another file at this moment
            _hold_on(owner)


def _hold_on(stale: Owner) -> None:
    """Hold what was live when this process was forked from the owner `stale`."""
    live = [path for path in stale.live if not is_gone(os.path.join(stale.root, path))]
    if live:
        with contextlib.suppress(OSError):
            owner_of(stale.root, HELD_ON).record_all(live)


def _close_all() -> None:
    for owner in tuple(_owners.values()):
        if owner.pid == os.getpid():
            with contextlib.suppress(OSError):
                owner.close()
    _owners.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
atexit.register(_close_all)
