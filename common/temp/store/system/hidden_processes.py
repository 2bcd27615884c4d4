"""Processes that hide which files they use."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Final

from ...core.entry import Use
from ...core.units import HOUR
from . import at, procfs
from .procfs import spell_command

_RELIED_ON_SECONDS: Final = 1.0

_ALL_USERS: Final = [b"0", b"0", b"4294967295"]


def processes_that_hide() -> list[str]:
    """Short descriptions of this user's processes that hide which files they use."""
    return [
        f"pid {pid} ({spell_command([os.fsdecode(word) for word in procfs.command_of(pid)])})"
        for pid in (procfs.pids() if os.path.isdir("/proc/self/fd") else ())
        if procfs.hides(pid)
    ]


def unseen(now: float, changed: float, unchanged_for: Callable[[], float]) -> Use | None:
    """A `Use` by an unknown process, if processes cannot be inspected from here and the entry has
    changed within `unchanged_for()` seconds; else `None`.
    """
    if not (why := blindness()) or now - changed >= (seconds := unchanged_for()):
        return None
    hours = f"{seconds / HOUR:g} h"
    return Use(
        "unknown",
        f"a process that cannot be looked for from here ({why}), so the entry counts as in use "
        f"until it has been unchanged for {hours}",
    )


def blindness() -> str:
    """Why this user's other processes cannot be inspected from here; "" if they can, and on systems
    where they never can.

    All are hidden from a process in its own user namespace (`unshare --user`), or one confined by
    a system policy. A single hidden process means nothing: `ssh-agent` always hides.
    """
    return _blindness(int(time.monotonic() / _RELIED_ON_SECONDS))


@functools.lru_cache(1)
def _blindness(_: int) -> str:
    if sys.platform != "linux" or not at.RELATIVE:
        return ""
    if not os.path.isdir("/proc/self/fd"):
        return "no /proc is mounted here"
    users, mine = _users("self"), {str(os.getpid()), *procfs.children()}
    are_all = users.split() == _ALL_USERS
    shown = hiding = False
    # The parent first: where all users are mapped, one visible process is enough.
    for pid in (str(os.getppid()), *procfs.pids()):
        if pid in mine or not _is_of(pid, os.geteuid()):
            continue
        if not procfs.hides(pid):
            shown = True
            if are_all:
                break
        elif _users(pid) != users:
            return "they are in another user namespace"
        else:
            hiding = True
    return "this process is confined" if hiding and not shown else ""


def _users(pid: str) -> bytes:
    """The user id map of its namespace, as this process sees it."""
    try:
        return procfs.read(f"/proc/{pid}/uid_map")
    except OSError:
        return b""


def _is_of(pid: str, user: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}").st_uid == user
    except OSError:
        return False
