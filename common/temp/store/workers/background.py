"""Running work in a process that outlives the command and its terminal."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Collection

from ..root.forked_helpers import fork_helper, let_go_of


def may_detach() -> bool:
    """Whether `detach` can be called: the system can fork, and no other thread runs."""
    if not hasattr(os, "setsid"):
        return False
    from .crew import may_fork  # takes milliseconds to import, and is rarely needed

    return may_fork()


def detach(work: Callable[[], None], keep: Collection[int]) -> None:
    """Run `work` in a forked process that outlives the caller.

    It has no terminal and no standard streams, its working directory is `/`, and it keeps none of
    the caller's leases and open files except the descriptors `keep`, whose locks both processes
    hold. Raises `OSError` if it cannot be started.
    """

    def run() -> None:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.chdir("/")
        opened = {int(name) for name in os.listdir("/proc/self/fd")}
        let_go_of((opened | {0, 1, 2}) - set(keep))
        work()

    # Forked twice: the intermediate process ends at once, so nothing has to wait for the other one.
    def start() -> None:
        fork_helper(run)

    between = fork_helper(start)
    if os.waitpid(between, 0)[1]:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
