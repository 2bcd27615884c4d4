"""Processes that show nothing of what they work in."""

from __future__ import annotations

import os

from . import procfs
from .processes import spell_command


def processes_that_hide() -> list[str]:
    """The processes of this user that show nothing of what they work in, each in a few words."""
    return [
        f"pid {pid} ({spell_command([os.fsdecode(word) for word in procfs.command_of(pid)])})"
        for pid in (procfs.pids() if os.path.isdir("/proc/self/fd") else ())
        if procfs.hides(pid)
    ]
