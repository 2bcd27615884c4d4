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
import os
import threading
from pathlib import Path

from ..system.presence import own_namespace, own_start
from .books import HELD_ON, OWN, PLAIN, Book
from .current_owners import own, owners
from .guard import check_store, is_gone
from .journal import fork_line
from .owning import Owner

_owners_lock = threading.RLock()  # a signal's handler may interrupt the thread that holds it


def owner_of(root: str, book: Book = PLAIN) -> Owner:
    """The calling process's owner in `root` (an absolute path), made at first use.

    Raises `FileNotFoundError` where the root has no place for owner files yet, or as `check_store`.
    """
    key = (root, book)
    owner = owners.get(key)
    if owner is not None and owner.pid == os.getpid() and owner.is_current():
        return owner
    with _owners_lock:
        while True:
            owner = owners.get(key)
            if owner is not None and owner.pid == os.getpid() and owner.is_current():
                return owner
            check_store(Path(root))
            stale, owner = owner, Owner(root, book)
            if stale is not None and stale.pid == os.getpid():
                stale.replace_by(owner)
            if owners.get(key) is stale:
                owners[key] = owner
                return owner
            # A signal's handler has made one meanwhile.
            owner.replace_by(owners[key])
            with contextlib.suppress(OSError):
                os.unlink(owner.path)


def owners_here() -> list[Owner]:
    """All owners that this process is, and those that it has inherited by a fork."""
    return [*owners.values(), *_inherited]


def release(root: str, relative: str, book: Book = PLAIN) -> None:
    """Give up this process's record of the entry at `relative`, if it has one."""
    owner = own(root, book)
    if owner is not None:
        owner.release(relative)


def close(root: str, book: Book) -> None:
    """End this process's lease on all that is noted in `book`, if it has one; the notes stay."""
    owner = own(root, book)
    if owner is not None:
        del owners[root, book]
        with contextlib.suppress(OSError):
            os.utime(owner.path)  # a run of tests is as new as its end
        owner.close()


def end_handed(root: str, relative: str) -> None:
    """End what was handed on of the entry, unless it is noted in a book of this process's own."""
    if not _is_own(root, relative):
        hand_over(root, relative)


def hand_over(root: str, relative: str) -> None:
    """Leave the entry at `relative` to who has got its descriptors from `lease_fds`."""
    close(root, Book(handed=relative))  # others that have got the descriptor keep the lock


def _is_own(root: str, relative: str) -> bool:
    """Whether the entry is noted in any book of what this process itself uses."""
    mine = (own(root, book) for book in OWN)
    return any(owner is not None and relative in owner.live for owner in mine)


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
    for owner in tuple(owners.values()):
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
    live = [owner for owner in owners.values() if owner.live]
    owners.clear()
    _inherited.clear()
    if getattr(helping, "is_at_it", False):
        return
    start = own_start() if live else 0
    here = own_namespace() if live else ""
    for owner in live:
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


def _end_all() -> None:
    for key, owner in tuple(owners.items()):
        if owner.pid == os.getpid():
            with contextlib.suppress(OSError):
                if owner.end():
                    continue
        owners.pop(key, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
atexit.register(_end_all)
