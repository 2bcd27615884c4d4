"""The calling process as the owner of entries in one root, recorded in an owner file."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections import deque
from collections.abc import Collection

from ...errors import InvalidName
from ..project.store_guard import is_gone
from .owner_file import found, open_new, taken
from .owner_file_reading import LEFT, has_living_forks
from .owner_kinds import OWN, PLAIN, Book

_COMPACT_AFTER = 20_000


class Owner:
    """The calling process as the owner of entries in one root; made by `owner_of`."""

    def __init__(self, root: str, book: Book = PLAIN) -> None:
        self.root = root
        self.book = book
        self.pid = os.getpid()
        # How often each path is recorded: when two threads try a name, the loser releases it.
        self.live: dict[str, int] = {}
        self._inodes: dict[str, int] = {}
        self._forks = 0
        self._lines = 0
        # A signal handler or a finalizer may interrupt the thread that holds it.
        self._lock = threading.RLock()
        self._is_writing = False
        self._given_up: deque[str] = deque()
        self._closed = False
        # One value, so that other threads never see a half-replaced file.
        self._file = open_new(self.root, self.book)

    @property
    def id(self) -> str:
        """The name of the owner file."""
        return self._file.id

    @property
    def path(self) -> str:
        """The path of the owner file."""
        return self._file.path

    @property
    def descriptor(self) -> int:
        """The open owner file, which holds the lock."""
        return self._file.descriptor

    def is_locked(self) -> bool:
        """Whether the descriptor still holds the lock, and was not reused."""
        return not self._closed and self._file.is_open()

    def note(self, line: bytes) -> bool:
        """Add `line` to the owner file, and return whether that worked. Any process may call it."""
        return self._file.note(line)

    def is_current(self) -> bool:
        """Whether the owner file is still at its path; false after `rm -rf .tmp`, for example."""
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

        Raises `FileNotFoundError` if this owner was replaced because its file was removed.
        """
        self.record_all((relative,))

    def record_all(self, paths: Collection[str]) -> None:
        """Like `record`, for several entries in one write. Raises `InvalidName` for a newline,
        which would turn one record into two.
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
        if was_lost:  # then the locks in other roots are lost as well
            from .owner import owners_here  # it imports this module

            for other in owners_here():
                with contextlib.suppress(OSError):
                    other.regain()

    def record_made(self, relative: str) -> None:
        """Note the inode of the recorded entry, which this process has made. After a kill or on a
        full disk, it stays unknown.
        """
        with self._lock, contextlib.suppress(OSError):
            if relative in self.live and self._file.has_header():
                inode = os.lstat(os.path.join(self.root, relative)).st_ino
                self._file.append(os.fsencode(found(relative, inode)))
                self._inodes[relative] = inode
                self._lines += 1

    def show_life(self) -> None:
        """Note that the process is alive now, which tells later what it can have made."""
        with contextlib.suppress(OSError):
            self._file.touch()

    def regain(self) -> None:
        """Take the lock again if other code closed the descriptor. Raises `OSError`."""
        with self._lock:
            if self.pid == os.getpid() and not self._closed and not self._file.is_open():
                self._renew()

    def release(self, relative: str) -> None:
        """Note that the entry at `relative` is no longer this process's.

        If called from a signal handler during a write, this is queued until the write ends.
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
        if self.book in OWN:
            from .owner import end_handed  # it imports this module

            end_handed(self.root, relative)
        # On a full disk, the line cannot be written: the record then lasts as long as the process.
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
        """The PID namespace of the process when the owner file was made, as in `Presence`."""
        return self._file.namespace

    def note_fork(self) -> None:
        """Count the line that a child is about to add for itself."""
        if self.live:
            self._forks += 1
            self._lines += 1

    def tidy(self) -> None:
        """Compact the journal if it is large, unless another thread is writing to it."""
        if self._lines > _COMPACT_AFTER and self._lock.acquire(blocking=False):
            try:
                if not self._is_writing and not self._closed:
                    self._compact()
            finally:
                self._lock.release()

    def _compact(self) -> None:
        """Switch to a new owner file with only the live entries, if this one has become large."""
        if self._lines > _COMPACT_AFTER and len(self.live) * 2 < self._lines:
            self._lines = len(self.live)
            with contextlib.suppress(OSError):
                self._renew()

    def _renew(self) -> None:
        """Switch to a new owner file that holds only the live entries. Raises `OSError`.

        The new file is complete and locked before the old one is unlinked, and the old lock is
        dropped last: a reader that finds the old file unlocked also finds that it no longer has a
        name, and reads again. The old file stays while a forked child runs, which may work in an
        entry that was live at the fork and that only the old file protects.
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
        for path in sorted(self.live.keys() - set(kept)):  # a signal handler recorded these
            with contextlib.suppress(OSError):
                fresh.append(taken((path,), {}))
        forks, self._forks = self._forks, 0
        old.give_up(keep=forks > 0 and has_living_forks(old.path, old.identity, forks))

    def replace_by(self, other: Owner) -> None:
        """Hand over to `other`: this owner's file is gone, but its entries may still exist."""
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
        """End the lease; if no live entries exist, remove the owner file too."""
        with self._lock:
            self._closed = True
            self._file.give_up(keep=self._has_some())

    def end(self) -> bool:
        """Note that the process is exiting normally. Returns whether it has entries; if not, this
        owner is closed. Otherwise the lock stays until the process is gone: code that still runs
        may need the entries.
        """
        with self._lock:
            if not self._has_some():
                self.close()
                return False
            self._file.note(LEFT + b"\n")
            return True

    def _has_some(self) -> bool:
        return not all(is_gone(os.path.join(self.root, path)) for path in self.live)
