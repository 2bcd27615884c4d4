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
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ..core.entry import Use
from ..core.layout import OWNERS, STORE, STORE_PARTS, UNDO
from ..core.units import DAY, HOUR
from ..errors import Refused, StorageError, TempError
from . import at
from .journal import LEFT, Journal, fork_line, has_living_forks, is_owner_name
from .journal import PLAIN as PLAIN
from .journal import Book as Book
from .mounts import check_store_unmounted, mounts_below
from .presence import Presence, boot, namespace, outlived, presence_here, start_of, view
from .processes import note_helper, spell_command
from .project import check_root

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PLAIN: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
"""No link is followed, and no newline changed: what was read of a file is counted in bytes."""

_CURRENT_TEST: Final = "PYTEST_CURRENT_TEST"
"""The variable by which a process knows, and all that it starts, which test it is in."""

_COMPACT_AFTER = 20_000
_HELD_ON: Final = Book(handed="by a process that was forked")
_UNREADABLE: Final = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.EMLINK})
"""What the disk says of an owner file of another user's, of a link or of a socket in its place."""

_SHARE_SECONDS: Final = 3.0
"""How long to wait for whoever deletes a link or a socket just now, which takes an instant."""

_TURN_SECONDS: Final = 0.25
"""How long to wait for one's turn to ask for a lock; a turn takes microseconds."""


def check_store(root: Path) -> None:
    """Raise `Refused` if `root`, or what this program keeps in it, may have been planted: behind a
    symlink, or with another filesystem mounted over it; see `check_root`.

    Whoever planted it would have a sweep delete what it leads to.
    """
    if not check_root(root):
        return
    if (root.parent.name, root.name) == (STORE, UNDO):
        check_store(root.parent.parent)
    device = os.stat(root).st_dev
    for part in (STORE, *(f"{STORE}/{name}" for name in STORE_PARTS)):
        path = os.path.join(root, part)
        try:
            status = at.stat(path, follow_symlinks=False)
        except OSError:
            if part == STORE:
                return  # there is none yet, or none that could be opened
            continue
        if not stat.S_ISDIR(status.st_mode):
            raise Refused(f"{path} is not a directory of this program's making; remove it")
        if status.st_dev != device:
            check_store_unmounted(str(root), (part,))
    check_store_unmounted(str(root), mounts_below(str(root)))


class Unchanged:
    """Tells whether one directory of a store may be another by now, by a single look at it."""

    def __init__(self, root: Path | str, directory: str) -> None:
        self._root = Path(root)
        self._directory = directory
        self._known: tuple[int, int] | None = (0, 0)

    def check(self) -> None:
        """Do `check_store` again if it is another: something may be mounted over it."""
        try:
            status = os.stat(self._directory)
            found: tuple[int, int] | None = (status.st_dev, status.st_ino)
        except OSError:
            found = None
        if found != self._known:
            check_store(self._root)
            self._known = found


def folds_case(root: Path) -> bool:
    """Whether the filesystem of `root` takes names that differ in their case for the same.

    Some list them in another case than that in which they were made, and were recorded.
    """
    try:
        store, other = (os.lstat(os.path.join(root, name)) for name in (STORE, STORE.upper()))
    except OSError:
        return False
    return (store.st_dev, store.st_ino) == (other.st_dev, other.st_ino)


def is_gone(path: str) -> bool:
    """Whether nothing lies at `path`; not where that cannot be told."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


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
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | _PLAIN)
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
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | _PLAIN
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
    if fcntl is None:  # Windows, which unlinks nothing that is open, and knows no such lock
        os.close(descriptor)
    with contextlib.suppress(OSError):
        os.unlink(path)
    if fcntl is not None:
        os.close(descriptor)


def _append(descriptor: int, data: bytes) -> None:
    """Append `data` as a whole or not at all."""
    written = os.write(descriptor, data)
    if written != len(data):
        # A disk that fills up midway leaves half a line, to which the next would be glued.
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# -- locks ------------------------------------------------------------------------------------


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


# -- reading ----------------------------------------------------------------------------------


class RunNotes(NamedTuple):
    """What one process of a run of tests noted: the paths of entries, and when it last did."""

    book: Book
    is_over: bool
    written: float
    entries: frozenset[str]


class Leases:
    """Who holds which entries of one root, as of the last `refresh`. Reading writes nothing.

    Raises `Refused` for a root whose owner files lie behind a symlink or are mounted over.
    """

    def __init__(self, root: Path, foreign_for: float | None = None) -> None:
        check_store(root)
        self._root = str(root)
        self._directory = os.path.join(self._root, STORE, OWNERS)
        self._is_same = Unchanged(self._root, self._directory)
        self._fold = str.casefold if folds_case(root) else str
        self._foreign_for = foreign_for
        self._journals: dict[str, Journal] = {}
        self._damaged: tuple[Journal, ...] = ()
        self._holders: dict[str, list[Journal]] = {}
        # An entry found by plain listing may hold recorded ones further down: how many, by whom.
        self._below: dict[str, dict[Journal, int]] = {}
        self._own: str | None = None
        self._namespace = namespace()
        self._views: dict[int, str] = {}

    @property
    def foreign_for(self) -> float:
        """For how many seconds an entry whose owner cannot be checked must not have changed.

        As given, or as configured for the project in which the root lies.
        """
        if self._foreign_for is None:
            from .settings import configured_foreign_for  # which knows this module

            try:
                self._foreign_for = configured_foreign_for(Path(self._root))
            except TempError:  # that other settings are wrong is told by whoever needs them
                self._foreign_for = DAY
        return self._foreign_for

    def refresh(self) -> None:
        """Read the owner files again, of each only what was appended since."""
        for _ in range(100):
            owner = own(self._root)
            self._own = owner.id if owner is not None else None
            if self._read_all():
                return
        raise StorageError(0, f"{self._directory} does not stop changing; try again")

    def _read_all(self) -> bool:
        """Whether all owner files were read; not if one lost its name while it was."""
        try:
            names = sorted(os.listdir(self._directory))
        except FileNotFoundError:
            names = []
        except OSError as error:
            raise StorageError.of(f"cannot read {self._directory}", error) from error
        self._is_same.check()  # now: what was listed may be what is mounted over it
        for gone in self._journals.keys() - set(names):
            self._forget(self._journals.pop(gone))
        for name in names:
            known = self._journals.get(name)
            if known is not None and known.alive is False and known.read:
                # The dead do not come back: owner names are never reused. (An empty file may
                # have been seen before its owner could lock it.)
                continue
            try:
                self._read(name)
            except FileNotFoundError:
                return False
            except OSError as error:
                path = os.path.join(self._directory, name)
                if error.errno not in _UNREADABLE:
                    raise StorageError.of(f"cannot read {path}", error) from error
                self._pass_over(name, error.strerror or "it is no file")
        self._damaged = tuple(
            journal
            for journal in self._journals.values()
            if journal.damage and journal.alive is not False and journal.id != self._own
        )
        return True

    def _read(self, name: str) -> None:
        path = os.path.join(self._directory, name)
        flags = os.O_RDONLY | _PLAIN | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags)
        try:
            # In this order: what is found dead has written all that it ever will. (What was forked
            # from it holds the lock until it has added its line. Only one that was forked by a
            # process that had closed everything, and that ends within this instant, is not seen.)
            locked = True if name == self._own else _is_locked(descriptor)
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                self._pass_over(name, "it is no plain file")
                return
            if status.st_nlink == 0:
                raise FileNotFoundError(path)
            journal = self._journals.get(name)
            if journal is None or journal.inode != status.st_ino:
                if journal is not None:
                    self._forget(journal)
                journal = self._journals[name] = Journal(name, status.st_ino)
            journal.written = status.st_mtime
            if status.st_size > journal.read:
                for is_taken, record in journal.read_on(descriptor, host_name()):
                    if is_taken and record not in journal.records:
                        self._add(journal, record)
                    elif not is_taken and record in journal.records:
                        self._remove(journal, record)
            journal.alive = self._is_alive(journal, locked, descriptor)
        finally:
            os.close(descriptor)

    def _pass_over(self, name: str, why: str) -> None:
        """Take what cannot be read for an owner that cannot be checked, if it has such a name."""
        if is_owner_name(name):
            known = self._journals.get(name)
            if known is not None:
                self._forget(known)
            self._journals[name] = Journal(name, -1, damage=why)

    def _is_alive(self, journal: Journal, locked: bool | None, descriptor: int) -> bool | None:
        """Whether the owner, or who shares in its lease, goes on; `None`, with a doubt, if nobody
        can tell.
        """
        journal.doubt = ""
        if locked:
            return True
        owner = journal.header.presence
        journal.doubt = "this filesystem has no locks" if locked is None else ""
        if not owner.boot:  # it was written where nobody says, or by an older version
            is_far = bool(owner.machine or owner.view) and journal.header.host != host_name()
            journal.doubt = journal.doubt or ("it ran on another system" if is_far else "")
        elif owner.boot != boot():
            is_same_host = journal.header.host == host_name()
            if is_same_host and outlived(owner, presence_here(descriptor)):
                return False
            journal.doubt = journal.doubt or "it ran on another system, or before a restart"
        else:
            if self._namespace and self._namespace == owner.namespace:
                alive = journal.has_living()
                if alive:
                    return True
                if alive is None:
                    journal.doubt = "the system hides it"
            if not journal.doubt and self._view(descriptor) != owner.view:
                journal.doubt = "it saw the filesystem by another mount"
        return None if journal.doubt or self._is_damaged(journal) else False

    def _view(self, descriptor: int) -> str:
        device = os.fstat(descriptor).st_dev
        if device not in self._views:
            self._views[device] = view(descriptor)
        return self._views[device]

    @staticmethod
    def _is_damaged(journal: Journal) -> bool:
        return bool(journal.damage) and is_owner_name(journal.id)

    def _add(self, journal: Journal, path: str) -> None:
        journal.records.add(path)
        path = self._fold(path)
        self._holders.setdefault(path, []).append(journal)
        for above in _heads(path):
            counts = self._below.setdefault(above, {})
            counts[journal] = counts.get(journal, 0) + 1

    def _remove(self, journal: Journal, path: str) -> None:
        journal.records.discard(path)
        path = self._fold(path)
        self._holders[path].remove(journal)
        if not self._holders[path]:
            del self._holders[path]
        for above in _heads(path):
            counts = self._below[above]
            counts[journal] -= 1
            if not counts[journal]:
                del counts[journal]

    def _forget(self, journal: Journal) -> None:
        for path in tuple(journal.records):
            self._remove(journal, path)

    def use_of(self, relative: str, now: float, changed: float) -> Use | None:
        """The lease that is held on the entry at `relative` or on anything below it.

        `changed` is when the entry last changed: where nobody can tell whether its owner lives,
        that is what its being in use is guessed by.
        """
        use: Use | None = None
        relative = self._fold(relative)
        for journal in (
            *self._holders.get(relative, ()),
            *self._below.get(relative, ()),
            *self._damaged,
        ):
            found = self._use_by(journal, now, changed)
            if found is None:
                continue
            if journal.alive and not found.mine:
                return found
            if use is None or (use.mine and not journal.alive):
                use = found
        return use

    def _use_by(self, journal: Journal, now: float, changed: float) -> Use | None:
        mine = journal.id == self._own
        if journal.alive:
            return Use("owner", self._spell_damaged(journal) or journal.who, mine=mine)
        if journal.alive is None and now - changed < self.foreign_for:
            return Use("unknown", self._spell_doubt(journal), mine=mine)
        return None

    def any_use(self, now: float, changed: float) -> Use | None:
        """The lease of any owner that lives or cannot be checked, whatever it holds here; one that
        is another's first. `changed` as in `use_of`. The root may have been moved meanwhile.
        """
        use: Use | None = None
        ours = {owner.id for owner in tuple(_owners.values()) if owner.pid == os.getpid()}
        for journal in self._journals.values():
            found = self._use_by(journal, now, changed)
            if found is not None and journal.id in ours:
                found = found._replace(mine=True)
            if found is not None and not found.mine:
                return found
            use = use or found
        return use

    def _spell_doubt(self, journal: Journal) -> str:
        hours = f"until it has been unchanged for {self.foreign_for / HOUR:g} h"
        if damaged := self._spell_damaged(journal):
            return f"{damaged}, so the entry counts as in use {hours}"
        return (
            f"{journal.who} cannot be checked from here ({journal.doubt}), so the entry counts as "
            f"in use {hours}"
        )

    def _spell_damaged(self, journal: Journal) -> str:
        if not self._is_damaged(journal):
            return ""
        path = os.path.join(self._directory, journal.id)
        return (
            f"a process may hold it that cannot be checked ({path}: {journal.damage}; remove that "
            "file if no process needs it)"
        )

    def is_guessed(self, relative: str) -> bool:
        """Whether nobody can tell if an owner of that entry lives, so that its changes decide."""
        return bool(self._damaged) or any(
            journal.alive is None
            for journal in (*self._holders.get(relative, ()), *self._below.get(relative, ()))
        )

    @property
    def has_unchecked(self) -> bool:
        """Whether there is an owner of which nobody can tell for good whether it lives."""
        return any(
            journal.alive is None or (journal.alive and journal.doubt)
            for journal in self._journals.values()
        )

    def maker_of(self, relative: str) -> str | None:
        """The process that made the entry at `relative`, if a record of it is left."""
        return next((journal.who for journal in self._holders.get(self._fold(relative), ())), None)

    def made_in(self, test: str) -> dict[str, str]:
        """The entries that other processes recorded which `test` had started, and who they are."""
        return {
            path: journal.who
            for journal in self._journals.values()
            if journal.header.test == test and journal.header.pid != os.getpid()
            for path in journal.records
        }

    def notes_of_runs(self) -> tuple[RunNotes, ...]:
        """What runs of tests have noted, of which not all is gone."""
        return tuple(
            RunNotes(journal.header.book, journal.alive is not True, journal.written, entries)
            for journal in self._journals.values()
            if journal.header.book.run
            and (
                entries := frozenset(
                    path for path in journal.records if not is_gone(os.path.join(self._root, path))
                )
            )
        )

    def recorded(self) -> set[str]:
        """The paths of all that somebody has recorded and not given up."""
        return {path for journal in self._journals.values() for path in journal.records}

    def recorded_categories(self) -> set[str]:
        """The first parts of all recorded paths that have two: categories for certain."""
        return {path.partition("/")[0] for path in self.recorded() if "/" in path}

    def forget_dead(self) -> None:
        """Remove the owner files of dead processes that no existing entry needs any more."""
        for journal in tuple(self._journals.values()):
            # What cannot be checked may record another entry at any time, and be about to make it.
            # Of what is damaged nobody knows what it names.
            last_sign = max(journal.header.started, journal.written)
            ended = journal.alive is False or (
                journal.alive is None
                and not journal.damage
                and time.time() - last_sign >= self.foreign_for
            )
            if ended and all(
                is_gone(os.path.join(self._root, record)) for record in journal.records
            ):
                _unlink_if_dead(os.path.join(self._directory, journal.id))


def _unlink_if_dead(path: str) -> None:
    with contextlib.suppress(OSError):
        if fcntl is None:
            os.unlink(path)  # which fails there while a process has it open
            return
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            # Holding the lock, no process can believe that it owns the file: a new owner checks,
            # after locking, that its file still has a name.
            if lock_file(descriptor):
                os.unlink(path)
        finally:
            os.close(descriptor)


def _heads(path: str) -> Iterator[str]:
    """The directories above `path`, nearest first."""
    head, slash, _ = path.rpartition("/")
    while slash:
        yield head
        head, slash, _ = head.rpartition("/")


def _is_locked(descriptor: int) -> bool | None:
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


# -- locks on the entry's own directory ---------------------------------------------------------


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
