"""Which processes work where, from `/proc` if it exists, and how to describe a process."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ...core.layout import is_inside
from .views import ESCAPED_NEWLINE, View, Views

_COMMAND_LENGTH: Final = 60

ASKS: Final = "tempkeep.asks"
"""A setting that marks a `git` that was started only to ask about an entry."""

_READS_ONLY: Final = os.O_APPEND | getattr(os, "O_ACCMODE", 3)

_MOST_WORDS: Final = 12
"""How many words of a command line are looked at for files."""

_RELIED_ON_SECONDS: Final = 1.0

_WORKS: Final = "works in it"
_RUNS: Final = "runs a program in it"

_helpers: set[str] = set()


def note_helper(pid: int) -> None:
    """Have a forked child of this process count as this one: it has the same files open."""
    _helpers.add(str(pid))


def spell_command(words: Sequence[str]) -> str:
    """A command line as a person would name it: without folder or code, at most 60 long."""
    said = [os.path.basename(words[0]), *words[1:]] if words else []
    if "-c" in said:
        said = [*said[: said.index("-c") + 1], "…"]
    text = " ".join(" ".join(said).split())
    return text if len(text) <= _COMMAND_LENGTH else f"{text[: _COMMAND_LENGTH - 1]}…"


def processes_inside(root: Path) -> dict[str, str]:
    """Which process of this user does what below `root`: path relative to it -> a clause.

    A process works in its working directory, in its root directory, and where it has files,
    directories or sockets open or files mapped; and it needs the program that it runs. That holds
    for what it reaches through a bind mount or in another mount namespace as well; a part of an
    entry that is mounted elsewhere, or as a loop device, is in use by itself. Told by `/proc`
    where there is one; elsewhere nothing is found. This process's own open and mapped files do not
    count, nor the directories that this program holds open while it looks at entries.
    """
    if not os.path.isdir("/proc/self/fd"):
        return {}
    look = _Look(root)
    look.at_mounts()
    look.at_loop_devices()
    for pid in _pids():
        look.at(pid)
    return {os.fsdecode(path): clause for path, clause in look.found.items()}


class AtWork:
    """Who works below one directory; it is looked at again once the last look is a second old."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._found: dict[str, str] = {}
        self._looked_at = float("-inf")

    def inside(self, path: str) -> str:
        """A clause about the processes that work in `path`; "" if there are none."""
        if time.monotonic() - self._looked_at > _RELIED_ON_SECONDS:
            self._found = processes_inside(self._directory)
            self._looked_at = time.monotonic()
        found = (who for place, who in self._found.items() if is_inside(place, path))
        return next((f"in use by {who}" for who in found), "")


def _pids() -> Iterator[str]:
    me = os.geteuid()
    with contextlib.suppress(OSError), os.scandir("/proc") as listing:
        for item in listing:
            if item.name.isdigit():
                with contextlib.suppress(OSError):
                    if me == 0 or item.stat().st_uid == me:
                        yield item.name


class _Look:
    """One look at all processes."""

    def __init__(self, root: Path) -> None:
        self.found: dict[bytes, str] = {}
        self._root = os.fsencode(root)
        self._views = Views(str(root))
        self._sockets: dict[str, dict[bytes, bytes]] = {}
        self._pid = self._thread = ""
        self._views_here: tuple[View, ...] = ()
        self._words: list[bytes] = []

    def at(self, pid: str) -> None:
        """Take in what the process `pid` does."""
        self._pid, (self._thread, *others) = pid, _threads(pid)
        self._words = _command_of(self._thread)
        if any(word.startswith(ASKS.encode()) for word in self._words) or _is_helper(pid):
            return
        if not self._words and _lacks(f"/proc/{self._thread}/exe"):
            return  # a thread of the kernel, of which there are dozens, or a process that is over
        for other in others:
            self._take_in_thread(other)
        cwd = self._take_in_thread(self._thread)
        self._take_in_link("exe", _RUNS)
        self._take_in_words(cwd)
        if pid == str(os.getpid()):
            self._take_in(os.fsencode(os.path.realpath(sys.prefix)), _RUNS)
            return
        self._take_in_open(cwd)
        self._take_in_mapped()

    def _take_in_thread(self, thread: str) -> bytes:
        """Record where one thread works, and return its working directory.

        One may have left that of its process, and its mounts, to itself (`unshare`).
        """
        self._thread = thread
        self._views_here = self._views.of(thread)
        for view in self._views_here:
            if view.inner:  # in another namespace, or it is known
                self._take_in(view.place, f"has it mounted at {os.fsdecode(view.place)}")
        self._take_in_link("root", _WORKS)
        return self._take_in_link("cwd", _WORKS)

    def at_mounts(self) -> None:
        """Take in what is mounted in a second place here, be there a process or not."""
        for view in self._views.of("self"):
            if view.inner:
                place = os.fsdecode(view.place)
                self.found.setdefault(view.inner, f"it is mounted at {place} as well")

    def at_loop_devices(self) -> None:
        """Record the files that the kernel itself has open as disks."""
        with contextlib.suppress(OSError):
            for name in os.listdir("/sys/block"):
                if name.startswith("loop"):
                    with (
                        contextlib.suppress(OSError),
                        open(f"/sys/block/{name}/loop/backing_file", "rb") as file,
                    ):
                        path = file.read().rstrip(b"\n")
                        for view in self._views.of("self"):
                            if relative := view.relative(path):
                                self.found.setdefault(
                                    relative, f"the device {name} has a file in it open"
                                )

    def _take_in(self, path: bytes, clause: str) -> bool:
        """Whether `path`, as the process sees it, lies below the root; then it is noted."""
        for view in self._views_here:
            relative = view.relative(path)
            if relative is not None:
                if relative not in self.found:
                    words = [os.fsdecode(word) for word in self._words]
                    self.found[relative] = f"pid {self._pid} ({spell_command(words)}) {clause}"
                return True
        return False

    def _take_in_link(self, name: str, clause: str) -> bytes:
        try:
            path = os.readlink(f"/proc/{self._thread}/{name}".encode())
        except OSError:
            return b""
        self._take_in(path, clause)
        return path

    def _take_in_words(self, cwd: bytes) -> None:
        """Note what files the command line names: a script is closed once it is read, and options
        may come before it.
        """
        most = 2 if self._pid == str(os.getpid()) else _MOST_WORDS
        for index, word in enumerate(self._words[:most]):
            if b"/" in word:
                path = os.path.normpath(os.path.join(cwd, word))
                self._take_in_file_at(path, _RUNS if index < 2 else "was started with a file in it")

    def _take_in_file_at(self, path: bytes, clause: str) -> None:
        for view in self._views_here:
            relative = view.relative(path)
            if relative is not None and os.path.isfile(os.path.join(self._root, relative)):
                self._take_in(path, clause)

    def _take_in_open(self, cwd: bytes) -> None:
        base = f"/proc/{self._thread}/fd"
        try:
            names = os.listdir(base)
        except OSError:
            return
        places = tuple(view.place for view in self._views_here)
        for name in names:
            try:
                path = os.readlink(f"{base}/{name}".encode())
                if path.startswith(places):
                    self._take_in_file(name, path)
                elif path.startswith(b"socket:["):
                    bound = self._bound_sockets().get(path[len(b"socket:[") : -1])
                    if bound is not None:
                        self._take_in(os.path.join(cwd, bound), "has a socket in it")
            except OSError:
                continue

    def _take_in_file(self, name: str, path: bytes) -> None:
        with open(f"/proc/{self._thread}/fdinfo/{name}", "rb") as file:
            said = file.read(4096)
        flags = int(said.partition(b"flags:")[2].split()[0], 8) if b"flags:" in said else 0
        if flags & _READS_ONLY == os.O_APPEND:
            return  # see `at.O_LOOK`
        is_directory = stat.S_ISDIR(os.stat(f"/proc/{self._thread}/fd/{name}").st_mode)
        self._take_in(path, "has a directory in it open" if is_directory else _WORKS)

    def _bound_sockets(self) -> dict[bytes, bytes]:
        """Of the process's network namespace: the inodes of sockets, and the paths of those."""
        try:
            namespace = os.readlink(f"/proc/{self._thread}/ns/net")
        except OSError:
            namespace = ""
        if namespace not in self._sockets:
            found = self._sockets[namespace] = {}
            with contextlib.suppress(OSError):
                for line in _read(f"/proc/{self._thread}/net/unix").split(b"\n")[1:]:
                    columns = line.split(None, 7)
                    if len(columns) == 8 and not columns[7].startswith(b"@"):
                        found[columns[6]] = columns[7]
        return self._sockets[namespace]

    def _take_in_mapped(self) -> None:
        try:
            table = _read(f"/proc/{self._thread}/maps")
        except OSError:
            return
        for view in self._views_here:
            sought = b" " + view.place.replace(b"\n", ESCAPED_NEWLINE)
            start = table.find(sought)
            while start >= 0:
                end = table.find(b"\n", start)
                path = table[start + 1 : end].replace(ESCAPED_NEWLINE, b"\n")
                self._take_in(path, "has a file in it mapped")
                start = table.find(sought, end)


def _threads(pid: str) -> list[str]:
    """The paths in `/proc` of the threads of a process; the first also shows what the process has.

    The path of the process itself shows nothing once its main thread has ended, while others may
    still run.
    """
    with contextlib.suppress(OSError):
        if os.stat(f"/proc/{pid}/task").st_nlink > 3:
            names = [name for name in os.listdir(f"/proc/{pid}/task") if name != pid]
            others = [f"{pid}/task/{name}" for name in names]
            return others if _lacks(f"/proc/{pid}/cwd") and others else [pid, *others]
    return [pid]


def _lacks(link: str) -> bool:
    """Whether a process does not have that link in `/proc`; not where it is only hidden."""
    try:
        os.readlink(link)
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def _command_of(pid: str) -> list[bytes]:
    try:
        return [word for word in _read(f"/proc/{pid}/cmdline", 4096).split(b"\0") if word]
    except OSError:
        return []


def _read(path: str, most: int = sys.maxsize) -> bytes:
    """The first bytes of a file in `/proc`; raises `OSError`.

    There are hundreds of them, and most are short: to make a file object takes longer than to read.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while most > 0 and (part := os.read(descriptor, min(most, 1 << 16))):
            parts.append(part)
            most -= len(part)
    finally:
        os.close(descriptor)
    return b"".join(parts)


def _is_helper(pid: str) -> bool:
    """Whether it is a child that this process has forked for a part of its own work."""
    if pid not in _helpers:
        return False
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[1] == b"%d" % os.getpid()
    return False
