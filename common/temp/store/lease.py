"""Who made an entry, and whether it is in use: owner files, records and locks.

A process holds one locked owner file for each root. The kernel drops the lock when the process
dies, by whatever signal, and it is right across containers and recycled process ids, where a pid
in a file is not. The owner file is also a journal: one line for each entry that the process made
(`+debug/demo_1696348800`) or gave up (`-…`), so that a record costs one `write` to an open
descriptor, and needs no file of its own. A process that runs tests holds a second and a third: one
for what its tests make for the while, and one for what they leave (`Book`).

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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from ..core.entry import Use
from ..core.layout import OWNERS, STORE, STORE_PARTS, UNDO
from ..core.units import HOUR
from ..errors import Refused, StorageError
from . import at
from .mounts import check_store_unmounted, mounts_below
from .processes import note_helper, spell_command
from .project import check_root

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PLAIN: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
"""No link is followed, and no newline changed: what was read of a file is counted in bytes."""

UNCHECKED_HOURS: Final = 24.0
"""How long an entry whose owner cannot be checked counts as in use, in hours."""

_CURRENT_TEST: Final = "PYTEST_CURRENT_TEST"
"""The variable by which a process knows, and all that it starts, which test it is in."""

_COMPACT_AFTER = 20_000
_NAMELESS: Final = "a process that left no name"
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


class Book(NamedTuple):
    """Which of its owner files in a root a process notes an entry in.

    That without a `run` is for all that it makes. The others are of one run of tests: what is noted
    there is to be gone when its process ends, unless it was `kept`, which says why.
    """

    run: str = ""
    kept: str = ""


PLAIN: Final = Book()


class _OwnerFile(NamedTuple):
    id: str
    path: str
    descriptor: int
    identity: tuple[int, int]


class Owner:
    """The calling process as the owner of entries in one root; made by `owner_of`."""

    def __init__(self, root: str, book: Book = PLAIN) -> None:
        self.root = root
        self.book = book
        self.pid = os.getpid()
        # How often each is recorded: of two threads that try one name, the loser gives it up.
        self.live: dict[str, int] = {}
        self.forked = False
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

    @property
    def is_closed(self) -> bool:
        """Whether the lease has been ended, and the descriptor may be anybody's."""
        return self._closed

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
                    _append(descriptor, _header(self.pid, self.book))
                    return _OwnerFile(name, path, descriptor, (status.st_dev, status.st_ino))
            except BaseException:
                _discard(path, descriptor)
                raise
            _discard(path, descriptor)

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
        with self._lock:
            if self._closed:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._file.path)
            was_writing, self._is_writing = self._is_writing, True
            try:
                _append(self._file.descriptor, os.fsencode(f"+{relative}\n"))
                self.live[relative] = self.live.get(relative, 0) + 1
                self._lines += 1
            finally:
                self._is_writing = was_writing
                if not was_writing:
                    self._release_given_up()

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
        # On a full disk the line cannot be written; the record then ends with the process.
        with contextlib.suppress(OSError):
            _append(self._file.descriptor, os.fsencode(f"-{relative}\n"))
        self._lines += 1
        # A forked child may work in an entry of ours, which the file that it holds protects.
        large = self._lines > _COMPACT_AFTER and len(self.live) * 2 < self._lines
        if large and not self.forked:
            self._compact()

    def _compact(self) -> None:
        """Go over to a new owner file that holds only what is live.

        The new one is complete and locked before the old name goes, and the old lock is dropped
        last: a reader that finds the old file unlocked also finds that it has no name any more,
        and looks again.
        """
        self._lines = len(self.live)
        try:
            fresh = self._open()
        except OSError:
            return
        kept = sorted(self.live)
        try:
            _append(fresh.descriptor, os.fsencode("".join(f"+{path}\n" for path in kept)))
        except OSError:
            _discard(fresh.path, fresh.descriptor)
            return
        old, self._file = self._file, fresh
        for path in sorted(self.live.keys() - set(kept)):  # recorded by who interrupted this
            with contextlib.suppress(OSError):
                _append(fresh.descriptor, os.fsencode(f"+{path}\n"))
        _discard(old.path, old.descriptor)

    def replace_by(self, other: Owner) -> None:
        """Hand over to `other`, since this one's file is gone and entries may still be there."""
        with self._lock:
            for relative, times in sorted(self.live.items()):
                with contextlib.suppress(OSError):
                    other.record(relative)
                    other.live[relative] += times - 1
            self._closed = True
            os.close(self._file.descriptor)

    def close(self) -> None:
        """End the lease; without live entries the owner file goes too."""
        with self._lock:
            self._closed = True
            if not all(is_gone(os.path.join(self.root, path)) for path in self.live):
                os.close(self._file.descriptor)
            else:
                _discard(self._file.path, self._file.descriptor)


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


def _forget_after_fork() -> None:
    """Make the child its own owner.

    The inherited descriptors stay open on purpose: while the child runs, it keeps the lock, and so
    the entries of its parent, in which it may be working.
    """
    global _owners_lock
    _owners_lock = threading.Lock()
    _owners.clear()


def _note_fork() -> None:
    for owner in tuple(_owners.values()):
        owner.forked = True


def fork_helper(work: Callable[[], None]) -> int:
    """The id of a forked child that does `work` and ends, and keeps no lease of this process.

    Whatever happens in it, it never comes back: there would be two of everything.
    """
    parent = os.getpid()
    owners = tuple(_owners.values())
    forked = [owner.forked for owner in owners]
    # A signal that came now would be lost: what its handler raises in a fork's hook is discarded.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        pid = os.fork()
        if pid:
            note_helper(pid)
            return pid
    finally:
        if os.getpid() == parent:
            for owner, before in zip(owners, forked, strict=True):
                owner.forked = before
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    code = 1
    try:
        # A Ctrl-C goes to all processes of the terminal; the parent decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        let_go_of(owner.descriptor for owner in owners if not owner.is_closed)
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
    os.register_at_fork(before=_note_fork, after_in_child=_forget_after_fork)
atexit.register(_close_all)


def _header(pid: int, book: Book) -> bytes:
    said = {
        "pid": pid,
        "command": spell_command(sys.orig_argv),
        "started": int(time.time()),
        "host": host_name(),
        "test": os.environ.get(_CURRENT_TEST, "").rpartition(" ")[0],  # without its phase
        **book._asdict(),
    }
    return json.dumps({key: value for key, value in said.items() if value != ""}).encode() + b"\n"


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


class _Header(NamedTuple):
    """What the first line of an owner file says: `test` is the one that the process ran in."""

    who: str = _NAMELESS
    pid: int = 0
    started: float = 0.0
    test: str = ""
    book: Book = PLAIN


_NO_HEADER: Final = _Header()


@dataclass(slots=True, eq=False)
class _Journal:
    """One owner file as read so far: `alive` is None where that cannot be told."""

    id: str
    inode: int
    alive: bool | None = None
    read: int = 0
    written: float = 0.0
    header: _Header = _NO_HEADER
    records: set[str] = field(default_factory=set)

    @property
    def who(self) -> str:
        """The process, as a person would name it."""
        return self.header.who


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

    def __init__(self, root: Path) -> None:
        check_store(root)
        self._root = str(root)
        self._directory = os.path.join(self._root, STORE, OWNERS)
        self._is_same = Unchanged(self._root, self._directory)
        self._journals: dict[str, _Journal] = {}
        self._fold = str.casefold if folds_case(root) else str
        self._holders: dict[str, list[_Journal]] = {}
        # An entry found by plain listing may hold recorded ones further down: how many, by whom.
        self._below: dict[str, dict[_Journal, int]] = {}
        self._own: str | None = None

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
                raise StorageError.of(
                    f"cannot read {os.path.join(self._directory, name)}", error
                ) from error
        return True

    def _read(self, name: str) -> None:
        path = os.path.join(self._directory, name)
        flags = os.O_RDONLY | _PLAIN | getattr(os, "O_NONBLOCK", 0)
        try:
            descriptor = os.open(path, flags)
        except PermissionError:
            # Another user's, whose entries this one cannot rename away either.
            return
        try:
            # In this order: what is found dead has written all that it ever will.
            alive = True if name == self._own else _is_locked(descriptor)
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return
            if status.st_nlink == 0:
                raise FileNotFoundError(path)
            journal = self._journals.get(name)
            if journal is None or journal.inode != status.st_ino:
                if journal is not None:
                    self._forget(journal)
                journal = self._journals[name] = _Journal(name, status.st_ino)
            journal.alive = alive
            journal.written = status.st_mtime
            if status.st_size > journal.read:
                with open(descriptor, "rb", closefd=False) as file:
                    file.seek(journal.read)
                    self._take_in(journal, file.read())
        finally:
            os.close(descriptor)

    def _take_in(self, journal: _Journal, data: bytes) -> None:
        # Whatever follows the last newline is being written, or was when its process died.
        whole = data[: data.rfind(b"\n") + 1]
        lines = whole.split(b"\n")[:-1]
        if lines and journal.read == 0:
            journal.header = _parse_header(lines.pop(0))
        journal.read += len(whole)
        for line in lines:
            path = os.fsdecode(line[1:])
            if line.startswith(b"+") and path not in journal.records:
                self._add(journal, path)
            elif line.startswith(b"-") and path in journal.records:
                self._remove(journal, path)

    def _add(self, journal: _Journal, path: str) -> None:
        journal.records.add(path)
        path = self._fold(path)
        self._holders.setdefault(path, []).append(journal)
        for above in _heads(path):
            counts = self._below.setdefault(above, {})
            counts[journal] = counts.get(journal, 0) + 1

    def _remove(self, journal: _Journal, path: str) -> None:
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

    def _forget(self, journal: _Journal) -> None:
        for path in tuple(journal.records):
            self._remove(journal, path)

    def use_of(self, relative: str, now: float, changed: float) -> Use | None:
        """The lease that is held on the entry at `relative` or on anything below it.

        `changed` is when the entry last changed: where nobody can tell whether its owner lives,
        that is what its being in use is guessed by.
        """
        use: Use | None = None
        relative = self._fold(relative)
        for journal in (*self._holders.get(relative, ()), *self._below.get(relative, ())):
            found = self._use_by(journal, now, changed)
            if found is not None:
                if journal.alive and not found.mine:
                    return found
                use = found if journal.alive else use or found
        return use

    def _use_by(self, journal: _Journal, now: float, changed: float) -> Use | None:
        mine = journal.id == self._own
        if journal.alive:
            return Use("owner", journal.who, mine=mine)
        if journal.alive is None and now - changed < UNCHECKED_HOURS * HOUR:
            return Use(
                "unknown",
                f"{journal.who} cannot be checked here, so it counts as running "
                f"for {UNCHECKED_HOURS:.0f} h",
                mine=mine,
            )
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

    @property
    def has_unchecked(self) -> bool:
        """Whether there is an owner of which nobody can tell whether it lives."""
        return any(journal.alive is None for journal in self._journals.values())

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
        long_ago = time.time() - UNCHECKED_HOURS * HOUR
        for journal in self._journals.values():
            ended = not journal.alive and (
                journal.alive is False or journal.header.started < long_ago
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


def _parse_header(line: bytes) -> _Header:
    try:
        said = json.loads(line)
        who = f"pid {said['pid']} ({said['command']})"
        if said["host"] != host_name():
            who += f" on {said['host']}"
        book = Book(str(said.get("run", "")), str(said.get("kept", "")))
        if book.kept:
            who += f", which kept it: {book.kept}"
        test = str(said.get("test", ""))
        return _Header(who, int(said["pid"]), float(said["started"]), test, book)
    except (ValueError, KeyError, TypeError, AttributeError):
        return _NO_HEADER


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


def share_directory(descriptor: int) -> None:
    """Wait until nobody holds an exclusive lock on the directory, and keep anybody from it."""
    if fcntl is not None and at.RELATIVE:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)


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
