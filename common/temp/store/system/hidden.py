"""Processes that show nothing of what they work in."""

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
    """The processes of this user that show nothing of what they work in, each in a few words."""
    return [
        f"pid {pid} ({spell_command([os.fsdecode(word) for word in procfs.command_of(pid)])})"
        for pid in (procfs.pids() if os.path.isdir("/proc/self/fd") else ())
        if procfs.hides(pid)
    ]


def unseen(now: float, changed: float, unchanged_for: Callable[[], float]) -> Use | None:
    """That somebody may work in what last changed then, as processes cannot be looked into from
    here; nobody does once it has been unchanged for so many seconds.
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
    """Why other processes of this user cannot be looked into from here; "" if they can, and on
    systems where they never can.

    They hide all together from a process in a user namespace of its own (`unshare --user`), and
    where a policy of the system confines it. That one alone hides tells nothing: `ssh-agent` does.
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
    # First the parent: where all users are known, one that shows something is enough.
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
    """The users of its namespace as this process numbers them."""
    try:
        return procfs.read(f"/proc/{pid}/uid_map")
    except OSError:
        return b""


def _is_of(pid: str, user: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}").st_uid == user
    except OSError:
        return False
