"""Which processes work where, told by `/proc` where there is one, and how to name one."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_COMMAND_LENGTH: Final = 60


def spell_command(words: Sequence[str]) -> str:
    """A command line as a person would name it: without folder or code, at most 60 long."""
    said = [os.path.basename(words[0]), *words[1:]] if words else []
    if "-c" in said:
        said = [*said[: said.index("-c") + 1], "…"]
    text = " ".join(" ".join(said).split())
    return text if len(text) <= _COMMAND_LENGTH else f"{text[: _COMMAND_LENGTH - 1]}…"


def processes_inside(root: Path) -> dict[str, str]:
    """Which process of this user works where below `root`: path relative to it -> who.

    A process works in its working directory and where it has files open. (An open directory is
    what a scan has; one that is to protect something is locked.) Told by `/proc` where there is
    one; elsewhere, and for processes in other mount namespaces, nothing is found. This process's
    own open files do not count, its working directory does.
    """
    if not os.path.isdir("/proc/self/fd"):
        return {}
    prefix = os.path.realpath(root) + "/"
    found: dict[str, str] = {}
    for pid in _pids():
        for link in _links_of(pid):
            with contextlib.suppress(OSError):
                path = os.readlink(link)
                if not path.startswith(prefix):
                    continue
                if "/fd/" in link and stat.S_ISDIR(os.stat(link).st_mode):
                    continue
                found.setdefault(path[len(prefix) :], pid)
    return {path: _spell_process(pid) for path, pid in found.items()}


def _pids() -> Iterator[str]:
    me = os.geteuid()
    with contextlib.suppress(OSError), os.scandir("/proc") as listing:
        for item in listing:
            if item.name.isdigit():
                with contextlib.suppress(OSError):
                    if me == 0 or item.stat().st_uid == me:
                        yield item.name


def _links_of(pid: str) -> Iterator[str]:
    base = f"/proc/{pid}"
    yield f"{base}/cwd"
    if pid != str(os.getpid()):
        with contextlib.suppress(OSError):
            for name in os.listdir(f"{base}/fd"):
                yield f"{base}/fd/{name}"


def _spell_process(pid: str) -> str:
    words: list[str] = []
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        words = [os.fsdecode(word) for word in file.read(400).split(b"\0") if word]
    return f"pid {pid} ({spell_command(words)})"
