"""Forked helper processes, which keep none of the leases of their parent."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable

from ..system.procfs import note_helper
from .owner import helping, owners_here


def fork_helper(work: Callable[[], None]) -> int:
    """The id of a forked child that calls `work` and exits, and keeps no lease of this process.

    The child never returns from this function, even on an error: the rest of the program would run
    twice.
    """
    parent = os.getpid()
    owners = owners_here()
    # Block signals: an exception that a handler raises in a fork hook is discarded.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    helping.is_at_it = True
    try:
        pid = os.fork()
        if pid:
            note_helper(pid)
            return pid
    finally:
        helping.is_at_it = False
        if os.getpid() == parent:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    code = 1
    try:
        # Ctrl-C goes to all processes of the terminal; the parent decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        let_go_of(owner.descriptor for owner in owners if owner.is_locked())
        work()
        code = 0
    finally:
        os._exit(code)


def let_go_of(descriptors: Iterable[int]) -> None:
    """Drop this process's share in the locks on `descriptors`, which it inherited by a fork.

    The descriptors are replaced, not closed: the numbers stay in use, so that a later close of them
    cannot hit an unrelated file.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in set(descriptors) - {nothing}:
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
