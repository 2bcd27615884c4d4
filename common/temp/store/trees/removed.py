"""The result of a removal, and removing a single file or empty directory."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import Final

from ..system import at

_LINKS_KEPT: Final = 100_000
"""How many files with several names are remembered at most, to bound the memory."""


@dataclass(slots=True)
class Removed:
    """What a removal freed (bytes on disk, counted with the last link), and its failures.

    `length` is the total length in bytes of the files and symlinks deleted; a worker does not
    report it. `links` holds, for each file that had other names, how many names were deleted, the
    most names it had, and its bytes: if several processes delete its names, only all of them
    together free it.
    """

    freed_bytes: int = 0
    files: int = 0
    directories: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    links: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    length: int = 0

    def count(self, files: int, length: int, blocks: int) -> None:
        """Count `files` deleted names with their total length and the blocks that this freed."""
        self.files += files
        self.length += length
        self.freed_bytes += blocks * 512

    def add(self, other: Removed) -> None:
        """Add `other`."""
        self.freed_bytes += other.freed_bytes
        self.length += other.length
        self.files += other.files
        self.directories += other.directories
        self.failures += other.failures
        for key, (gone, most, size) in other.links.items():
            self.note_link(key, gone, most, size)

    def note_link(self, key: tuple[int, int], gone: int, most: int, size: int) -> None:
        """Count `gone` of the `most` names of a file as deleted; the last one frees its bytes."""
        known = self.links.get(key)
        if known is not None:
            gone, most = gone + known[0], max(most, known[1])
        if gone >= most:
            self.freed_bytes += size
            self.links.pop(key, None)
        elif known is not None or len(self.links) < _LINKS_KEPT:
            self.links[key] = (gone, most, size)


def spell_failures(removed: Removed) -> str:
    """A message about the failures: the first one, and how many more."""
    where, what = removed.failures[0]
    if len(removed.failures) > 1:
        why, semicolon, remedy = what.partition("; ")
        what = f"{why}, and {len(removed.failures) - 1} more{semicolon}{remedy}"
    return f"{where}: {what}" if where else what


def unlink_at(parent: int, name: str) -> Removed:
    """Delete `name`, a file, symlink or similar, in the directory open at `parent`.

    Never deletes a directory, even if one takes its place meanwhile. Raises `OSError`.
    """
    status = at.stat(name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    at.unlink(name, dir_fd=parent)
    removed = Removed(files=1, length=status.st_size)
    removed.note_link((status.st_dev, status.st_ino), 1, status.st_nlink, status.st_blocks * 512)
    return removed


def rmdir_at(parent: int, name: str) -> Removed:
    """Remove the directory `name` in the directory open at `parent`, if it is empty.

    Raises `OSError`.
    """
    status = at.stat(name, dir_fd=parent, follow_symlinks=False)
    at.rmdir(name, dir_fd=parent)
    return Removed(freed_bytes=status.st_blocks * 512, directories=1)
