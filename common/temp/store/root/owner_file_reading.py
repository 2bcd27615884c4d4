"""Reads an owner file: the owner, the entries it holds, and the processes forked from it.

Anything may have been planted in its place. So the amount read is limited, and anything that cannot
be parsed is reported as `damage`: a damaged file may name any entry.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections.abc import Iterator
from typing import Any, Final

from ...core.named_tuple import NamedTuple
from ..system.at import PLAIN_FLAGS
from ..system.process_identity import Presence, exists, lives, seen_in
from .owner_kinds import PLAIN, Book

LEFT: Final = b"."
"""The line that ends the owner's leases; its notes stay."""

_NAMELESS: Final = "a process that left no name"
_OWNER_NAME: Final = r"[0-9]+-[0-9]+-[0-9a-f]+"
_FORK: Final = rb"\*([0-9]{1,9}) ([0-9]{1,19})"
_FOUND: Final = re.compile(rb"=([0-9]{1,39}) ([^\0]+)", re.DOTALL)
_LONGEST_LINE: Final = 1 << 16
_LARGEST: Final = 8 << 20
"""The most bytes read of an owner file: a few hundred thousand records."""
_HALF: Final = "its last line is damaged"
_EMPTY: Final = "its content is lost"
_MOST_TO_BEGIN: Final = 10
"""The most seconds an owner may take from creating its file to writing the first line."""

_MOST_FORKS: Final = 50_000
_LARGEST_PID: Final = 1 << 31
_LONGEST_TEXT: Final = 4096


class Header(NamedTuple):
    """The first line of an owner file. `test` is the test in which the process ran."""

    who: str = _NAMELESS
    pid: int = 0
    started: float = 0.0
    test: str = ""
    book: Book = PLAIN
    host: str = ""
    presence: Presence = Presence()


class Left(NamedTuple):
    """A path in an owner `file` whose process has ended, certainly or not; it was `alive_at`.
    `has_left` is whether it ended by itself, and was not killed.

    `inode` is the recorded inode of the directory that it made at `path`, if any. `identity` is the
    device and inode of the owner file.
    """

    path: str
    file: str
    identity: tuple[int, int]
    is_certain: bool
    has_left: bool
    alive_at: float
    inode: int | None


_NO_HEADER: Final = Header()


def is_owner_name(name: str) -> bool:
    """Whether `name` has the form of an owner file's name; other files are not leases."""
    return re.fullmatch(_OWNER_NAME, name) is not None


def fork_line(pid: int, start: int) -> bytes:
    """The line with which a forked child records that it shares the owner's entries."""
    return b"*%d %d\n" % (pid, start)


class Journal:
    """One owner file as read so far: `alive` is `None` if unknown, with the reason in `doubt`.

    `is_shared` is set for the reading process's own file while a process forked from it is alive.
    """

    def __init__(
        self,
        name: str,
        identity: tuple[int, int] = (0, 0),
        *,
        damage: str = "",
        has_left: bool = False,
    ) -> None:
        self.id = name
        self.identity = identity
        self.alive: bool | None = None
        self.doubt = ""
        self.damage = damage
        self.read = 0
        self.written = 0.0
        self.header = _NO_HEADER
        self.has_left = has_left
        self.living = 0
        self.is_shared = False
        self.forks: dict[int, int] = {}
        self.fork_lines = 0
        self.records: set[str] = set()
        self.inodes: dict[str, int] = {}
        """The recorded inodes of the directories that it made, by path."""

    @property
    def who(self) -> str:
        """A description of the process."""
        if self.living in (0, self.header.pid):
            forked = "a process that was forked from " if self.is_shared else ""
            return f"{forked}{self.header.who}"
        return f"pid {self.living}, which was forked from {self.header.who}"

    @property
    def is_damaged(self) -> bool:
        """Whether it is an owner file that is partly unreadable."""
        return bool(self.damage) and is_owner_name(self.id)

    @property
    def has_made(self) -> bool:
        """Whether the process itself made the entries that it records."""
        return not (self.header.book.handed or self.header.book.purpose)

    def read_on(self, descriptor: int, host: str) -> Iterator[tuple[bool, str]]:
        """The new records: whether the lease was taken or given up, and the path."""
        # On a network filesystem, zeros may be read before the written data.
        if self.damage in (_HALF, _EMPTY):
            self.damage = ""
        with open(descriptor, "rb", closefd=False) as file:
            file.seek(self.read)
            while not self._is_over():
                line = file.readline(_LONGEST_LINE)
                if not line.endswith(b"\n"):
                    self._take_unfinished_line(line)
                    return
                is_first, self.read = self.read == 0, self.read + len(line)
                if is_first:
                    self._take_header(line, host)
                elif line[:1] in (b"+", b"-") and len(line) > 2 and b"\0" not in line:
                    path = os.fsdecode(line[1:-1])
                    self.inodes.pop(path, None)
                    yield line[:1] == b"+", path
                else:
                    self._take_line(line[:-1])

    def note_missing(self, now: float) -> None:
        """Record damage if a live owner has no first line, which it writes when it starts."""
        if self.read == 0 and is_owner_name(self.id):
            since = int(now) - int(self.id.partition("-")[0])
            if not 0 <= since <= _MOST_TO_BEGIN:
                self.damage = self.damage or _EMPTY

    def _is_over(self) -> bool:
        """Whether to stop reading it."""
        is_large = self.read > _LARGEST or len(self.forks) > _MOST_FORKS
        if is_large:
            self.damage = self.damage or "it is too large"
        return is_large

    def _take_header(self, line: bytes, host: str) -> None:
        header = parse_header(line, host)
        if header is None:
            self.damage = "its first line is damaged"
        else:
            self.header = header

    def _take_unfinished_line(self, line: bytes) -> None:
        # Usually the line is being written, or its process died while writing it. But a system
        # crash may have left zeros, or the file may not be an owner file at all.
        if len(line) == _LONGEST_LINE:
            self.damage = "a line of it is too long"
        elif b"\0" in line or (self.read == 0 and line[:1] not in (b"", b"{")):
            self.damage = _HALF

    def _take_line(self, line: bytes) -> None:
        if fork := re.fullmatch(_FORK, line):
            self.forks[int(fork[1])] = int(fork[2])
            self.fork_lines += 1
        elif found := _FOUND.fullmatch(line):
            self.inodes[os.fsdecode(found[2])] = int(found[1])
        elif line == LEFT:
            self.has_left = True
        else:
            self.damage = "a line of it is damaged"

    def has_living(self) -> bool | None:
        """Whether the owner or a process forked from it is running; `None` if that is hidden.

        Only valid in the owner's own PID namespace.
        """
        if not self.has_left and self.header.presence.start:
            self.forks.setdefault(self.header.pid, self.header.presence.start)
        is_hidden, self.living = False, 0
        for pid, start in tuple(self.forks.items()):
            alive = lives(pid, start)
            if alive:
                self.living = pid
                return True
            if alive is None:
                is_hidden = True
            else:
                del self.forks[pid]  # no need to check it again
        return None if is_hidden else False

    def is_seen(self) -> bool:
        """Whether the owner or a process forked from it is seen running in the owner's PID
        namespace.
        """
        owner = self.header.presence
        numbers = set(self.forks.items()) | ({(owner.pid, owner.start)} - {(0, 0)})
        if not (numbers and owner.namespace):
            return False
        running = numbers & seen_in(owner.namespace, max(self.written, self.header.started))
        self.living = min((pid for pid, _ in running), default=0)
        return bool(running)

    def look_for_forks(self, forks: int) -> None:
        """Record whether a process forked from this process, the owner, is alive.

        A child also counts if it has not recorded itself yet (`forks` is how many there are), or
        if the system does not let it.
        """
        self.living = 0
        for pid, start in tuple(self.forks.items()):
            if lives(pid, start) is False:
                del self.forks[pid]
            else:
                self.living = pid
        self.is_shared = bool(self.living) or self.fork_lines < forks

    def may_run(self) -> bool:
        """Whether a process with the id of the owner, or of one forked from it, exists."""
        numbers = set(self.forks) if self.has_left else {self.header.pid, *self.forks}
        return any(map(exists, numbers))


def has_living_forks(path: str, identity: tuple[int, int], forks: int) -> bool:
    """Whether a process forked from the owner of the file at `path` may be running.

    A child also counts if it has not recorded itself yet (`forks` is how many there are), or if the
    system does not let it.
    """
    journal = Journal("", has_left=True)
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | PLAIN_FLAGS)
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) == identity:
                for _ in journal.read_on(descriptor, ""):
                    pass
        finally:
            os.close(descriptor)
    return journal.fork_lines < forks or journal.has_living() is not False


def parse_header(line: bytes, host: str) -> Header | None:
    """The header in the first line of an owner file, for a reader on `host`; `None` if damaged."""
    try:
        said = json.loads(line)
        pid, started = _whole(said, "pid", _LARGEST_PID), float(said["started"])
        command, there = _text(said, "command"), _text(said, "host")
        if not pid or not math.isfinite(started) or None in (command, there):
            return None
        who = f"pid {pid} ({command})"
        if there != host:
            who += f" on {there}"
        book = Book(*(_optional(said, name) for name in Book._fields))
        if book.kept:
            who += f", which kept it: {book.kept}"
        start = _whole({"start": 0, **said}, "start", 1 << 63)
        if start is None:
            return None
        presence = Presence(pid, start, *(_optional(said, name) for name in Presence._fields[2:]))
        return Header(who, pid, started, _optional(said, "test"), book, there or "", presence)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _whole(said: Any, key: str, end: int) -> int | None:
    value = said.get(key)
    return value if type(value) is int and 0 <= value < end else None


def _text(said: Any, key: str, default: str | None = None) -> str | None:
    value = said.get(key, default)
    return value if isinstance(value, str) and len(value) <= _LONGEST_TEXT else None


def _optional(said: Any, key: str) -> str:
    """A string that older versions do not write. Raises `ValueError` for another type."""
    value = _text(said, key, "")
    if value is None:
        raise ValueError(key)
    return value
