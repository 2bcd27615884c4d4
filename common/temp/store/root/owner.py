"""The owners of entries, which tell whether an entry is in use: owner files, records and locks.

A process holds one locked owner file for each root. The kernel drops the lock when the process
dies, whatever the signal. Unlike a pid in a file, the lock works across containers and with
recycled process ids. The owner file is also a journal: one line for each entry that the process
made (`+debug/demo_1696348800`) or gave up (`-…`). So a record costs one `write` to an open
descriptor, and needs no file of its own. A process that runs tests holds two more owner files: one
for what its tests make temporarily, and one for what they leave behind (`Book`).

A lock ends when its last descriptor is closed, and a process may close descriptors that it does not
know, or run another program. So the first line also identifies the process, and each forked child
adds a line for itself: while one of them runs, the entries are in use. A lock may also not be
visible to this process: entries of an owner on another system, or behind another mount, count as in
use until they have been unchanged for a while.

The order of operations makes this safe. A record is written *before* the directory is made, and a
scan reads the records *after* it has listed the directories: every directory it sees has a record.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from pathlib import Path

from ..project.store_guard import check_store, is_gone
from ..system.process_identity import is_fork, own_namespace, own_start
from .current_owners import own, owners
from .owner_file_reading import fork_line
from .owner_kinds import HELD_ON, OWN, PLAIN, Book
from .owning import Owner

_owners_lock = threading.RLock()  # a signal handler may interrupt the thread that holds it


def owner_of(root: str, book: Book = PLAIN) -> Owner:
    """The calling process's owner in `root` (an absolute path), made at first use.

    Raises `FileNotFoundError` if the root has no directory for owner files yet, and what
    `check_store` raises.
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
                _end_with_worker()
                return owner
            # A signal handler has made one meanwhile.
            owner.replace_by(owners[key])
            with contextlib.suppress(OSError):
                os.unlink(owner.path)


def owners_here() -> list[Owner]:
    """All owners of this process, and those that it has inherited by a fork."""
    return [*owners.values(), *_inherited]


def release(root: str, relative: str, book: Book = PLAIN) -> None:
    """Give up this process's record of the entry at `relative`, if it has one."""
    owner = own(root, book)
    if owner is not None:
        owner.release(relative)


def close(root: str, book: Book) -> None:
    """End this process's lease on everything in `book`, if it has one; the notes stay."""
    owner = own(root, book)
    if owner is not None:
        del owners[root, book]
        with contextlib.suppress(OSError):
            os.utime(owner.path)  # the age of a test run counts from its end
        owner.close()


def end_handed(root: str, relative: str) -> None:
    """End the handed-on lease of the entry, unless this process also holds it for itself."""
    if not _is_own(root, relative):
        hand_over(root, relative)


def hand_over(root: str, relative: str) -> None:
    """Leave the entry at `relative` to the processes that got its descriptors from `lease_fds`."""
    close(root, Book(handed=relative))  # the lock lasts while they have the descriptors open


def _is_own(root: str, relative: str) -> bool:
    """Whether the entry is in one of the books of what this process itself uses."""
    mine = (own(root, book) for book in OWN)
    return any(owner is not None and relative in owner.live for owner in mine)


_inherited: list[Owner] = []
"""The owners of the process that this one was forked from that had live entries at the time."""

_worker = 0
"""The worker process that has told `multiprocessing` to end its leases."""

helping = threading.local()
"""Tells whether the current thread is forking a helper process, which keeps no lease."""


def _before_fork() -> None:
    if getattr(helping, "is_at_it", False):
        return
    # A child adds its line only to files of its direct parent, which counts the lines.
    while _inherited:
        _hold_on(_inherited.pop())
    for owner in tuple(owners.values()):
        owner.tidy()  # needs the lines of all earlier children
        owner.note_fork()


def _after_fork_in_child() -> None:
    """Make the child its own owner, and record in its parent's files that it shares the entries.

    The inherited descriptors stay open on purpose: while they are open, the child holds the lock,
    which protects its parent's entries, where it may be working. If it closes them, the recorded
    line still protects the entries on systems where processes can be identified.
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
        is_told_apart = here == owner.namespace  # otherwise pids in the file mean other processes
        if is_told_apart and (not start or owner.note(fork_line(os.getpid(), start))):
            _inherited.append(owner)
        else:  # another PID namespace, or the parent has just replaced the file
            _hold_on(owner)


def _hold_on(stale: Owner) -> None:
    """Hold the entries that were live when this process was forked from the owner `stale`."""
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


def _end_with_worker() -> None:
    """End the leases of a worker of `multiprocessing` that was forked: it runs no `atexit`."""
    global _worker
    util = sys.modules.get("multiprocessing.util")
    if util is None or _worker == os.getpid() or not is_fork():
        return
    if sys.modules["multiprocessing.process"].parent_process() is not None:
        _worker = os.getpid()
        # Behind what cleans up with the worker, which needs its leases.
        util.Finalize(None, _end_all, exitpriority=-200)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
atexit.register(_end_all)
