"""A process that outlives the command and its terminal."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from .lease import fork_helper


def may_detach() -> bool:
    """Whether `detach` can be called: where forking exists, and no other thread runs."""
    if not hasattr(os, "setsid"):
        return False
    from .crew import may_fork  # which takes milliseconds to import, and few need

    return may_fork()


def detach(work: Callable[[], None]) -> None:
    """Have a forked process do `work`, which goes on when the caller has ended.

    It belongs to no terminal, reads and writes nothing, stands in no directory that somebody may
    want to remove, and keeps no lease of the caller. What the caller has locked otherwise is
    locked by both.
    """

    def run() -> None:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.chdir("/")
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        work()

    fork_helper(run)
