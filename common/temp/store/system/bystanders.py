"""Processes that stand in a directory without needing what is in it."""

from __future__ import annotations

import contextlib
import os
from typing import Final

from . import procfs

_SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "fish", "ksh", "mksh", "tcsh", "csh"})
_VALUED: Final = frozenset({"--rcfile", "--init-file", "-o", "-O"})
"""The options of shells that a value follows which is no script."""

_TERMINALS: Final = frozenset({"tmux", "tmux: server", "screen", "SCREEN", "zellij", "login"})


def bystanders() -> frozenset[str]:
    """The processes that only wait or show what is printed: this one, those that it was started by
    or that read what it prints, shells without a command, and what terminals run in.
    """
    if not os.path.isdir("/proc/self/fd"):
        return frozenset()
    every = tuple(procfs.pids())
    waiting = (pid for pid in every if _only_waits(_command_of(pid)))
    return frozenset((*_started_by(), *_readers(every), *waiting))


def _only_waits(words: list[str]) -> bool:
    if not words:
        return False
    name, *arguments = words
    base = os.path.basename(name).removeprefix("-")
    if base in _TERMINALS or name.startswith("tmux"):
        return True
    own = (word for word, before in zip(arguments, words, strict=False) if before not in _VALUED)
    return base in _SHELLS and all(word.startswith("-") and word != "-c" for word in own)


def _command_of(pid: str) -> list[str]:
    return [os.fsdecode(word) for word in procfs.command_of(pid)]


def _started_by() -> list[str]:
    """The process itself, its parent, and so on upward."""
    found: list[str] = []
    pid = str(os.getpid())
    while pid not in ("0", *found):
        found.append(pid)
        try:
            said = procfs.read(f"/proc/{pid}/stat", 4096)
        except OSError:
            break
        pid = said.rpartition(b")")[2].split()[1].decode()
    return found


def _readers(every: tuple[str, ...]) -> list[str]:
    """The processes behind this one in a pipeline, such as a pager."""
    pipes = {pipe for fd in (1, 2) if (pipe := _pipe("self", fd))}
    reads = {pid: pipe for pid in every if pipes and (pipe := _pipe(pid, 0))}
    found: list[str] = []
    while fresh := [pid for pid, pipe in reads.items() if pipe in pipes and pid not in found]:
        found += fresh
        pipes |= {pipe for pid in fresh if (pipe := _pipe(pid, 1))}
    return found


def _pipe(pid: str, descriptor: int) -> bytes:
    with contextlib.suppress(OSError):
        place = procfs.place_of(f"/proc/{pid}/fd/{descriptor}")
        return place if place.startswith(b"pipe:") else b""
    return b""
