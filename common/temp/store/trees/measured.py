"""The result of a walk over a directory, and what in it may protect the directory."""

from __future__ import annotations

import os
import stat
from typing import Any, Final, TypeAlias

from ...core.links import Link
from ...core.named_tuple import NamedTuple

NEVER: Final = 1 << 63
"""Later than any time on any filesystem, in nanoseconds."""

Packed: TypeAlias = tuple[Any, ...]
Names: TypeAlias = dict[tuple[int, int], tuple[int, int, int, int]]


class Measured:
    """The result of a walk over one directory, itself included; sizes in bytes.

    `length` is the total length of the files alone, `apparent` includes the directories as well.
    `names` holds, for each file with more than one name, how many names it has, how many of them
    were found, and the two sizes that were counted for the first of them. `changed_ns` is the
    newest modification up to a given time, `future_ns` the newest one after it, 0 for none.
    `partial` says that the walk stopped at a change that was new enough: then only `changed_ns` and
    `changed_in` are valid.
    `roots` are the directories that hold a store of this program, or have the name of a scratch
    root, `repositories` those of git.
    `unread` is an error other than a lack of permission, with its place.
    """

    __slots__ = (
        "apparent", "changed_in", "changed_inode", "changed_ns", "directories", "files",
        "future_in", "future_ns", "length", "mounted", "names", "partial", "problems",
        "repositories", "roots", "size", "unread",
    )  # fmt: skip

    def __init__(self) -> None:
        self.size = 0
        self.apparent = 0
        self.length = 0
        self.files = 0
        self.directories = 0
        self.changed_ns = -NEVER
        self.changed_inode = 0
        self.changed_in = ""
        self.future_ns = 0
        self.future_in = ""
        self.names: Names = {}
        self.problems: list[tuple[str, str]] = []
        self.mounted: str | None = None
        self.partial = False
        self.roots: list[str] = []
        self.repositories: list[str] = []
        self.unread = ""

    @classmethod
    def of(cls, status: os.stat_result, until_ns: int = NEVER) -> Measured:
        """The measure of a file, or of a directory without its contents."""
        measured = cls()
        measured.size = status.st_blocks * 512
        measured.apparent = status.st_size
        if status.st_mtime_ns > until_ns:
            measured.future_ns = status.st_mtime_ns
        else:
            measured.changed_ns = status.st_mtime_ns
        if stat.S_ISDIR(status.st_mode):
            measured.directories = 1
            return measured
        measured.files = 1
        measured.length = status.st_size
        if status.st_nlink > 1:
            key = (status.st_dev, status.st_ino)
            measured.names[key] = (status.st_nlink, 1, measured.size, measured.apparent)
        return measured

    @property
    def links(self) -> tuple[Link, ...]:
        """The files that also have names elsewhere, which stay if this directory is removed."""
        if not self.names:
            return ()  # the usual case
        return tuple(
            Link(file, names, met, size)
            for file, (names, met, size, _) in self.names.items()
            if met < names
        )

    @property
    def inodes(self) -> int:
        """The number of files and directories; a file with several names counts once."""
        inodes = self.files + self.directories
        for _, met, _, _ in self.names.values():
            inodes -= met - 1
        return inodes

    def add(self, other: Measured) -> None:
        """Add the result for another part of the same tree; the order does not matter."""
        self.size += other.size
        self.apparent += other.apparent
        self.length += other.length
        self.files += other.files
        self.directories += other.directories
        self.partial = self.partial or other.partial
        self.roots = sorted(self.roots + other.roots)
        self.repositories = sorted(self.repositories + other.repositories)
        self.problems = sorted(self.problems + other.problems)
        self.unread = min(filter(None, (self.unread, other.unread)), default="")
        if other.mounted is not None:
            self.mounted = min(self.mounted or other.mounted, other.mounted)
        if other.newness > self.newness:
            self.changed_ns, self.changed_inode, self.changed_in = other.newness
        self.future_ns, self.future_in = max(
            (self.future_ns, self.future_in), (other.future_ns, other.future_in)
        )
        for key, (names, met, size, apparent) in other.names.items():
            known = self.names.get(key)
            if known is not None:
                self.size -= size
                self.apparent -= apparent
                self.length -= apparent
                names, met = max(names, known[0]), met + known[1]
            self.names[key] = (names, met, size, apparent)

    @property
    def newness(self) -> tuple[int, int, str]:
        """The newest change; ties are broken by inode, then by path."""
        return self.changed_ns, self.changed_inode, self.changed_in

    @property
    def inside(self) -> Inside:
        """What may protect the directory."""
        if not (self.roots or self.repositories or self.unread):
            return NOTHING
        return Inside(tuple(dict.fromkeys(self.roots)), tuple(self.repositories), self.unread)

    def pack(self) -> Packed:
        """The fields as plain values, to send to another process; see `unpack`."""
        return tuple(getattr(self, name) for name in self.__slots__)

    @classmethod
    def unpack(cls, packed: Packed) -> Measured:
        """A copy of the object that `pack` was called on."""
        measured = cls()
        for name, value in zip(cls.__slots__, packed, strict=True):
            setattr(measured, name, value)
        return measured


class Inside(NamedTuple):
    """What in a tree may protect it, by paths relative to it ("" is the top).

    `roots` are directories that hold a store of this program, `repositories` work trees of git and
    bare repositories. `unread` says where and why something could not be read; then there may be
    more of both. It does not include directories without permission.
    """

    roots: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    unread: str = ""


NOTHING: Final = Inside()
"""The usual case."""
