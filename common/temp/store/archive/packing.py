"""Copies an entry into the holding area of an archive, or packs it as a tar, and compares the
result with what was read.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from ...errors import Refused, StorageError
from ..claiming.area import HoldingArea
from ..system import at
from ..system.archive_formats import ArchiveFormat
from ..trees.contents import Digest, Digester, Item, chunks, digest, tree
from ..trees.removal import remove_at
from ..trees.writing import write
from .belongs import opened_parent
from .shelf import measured_at

DATA: Final = "data"
"""The name of a packed entry in the holding area."""

_NAMES: Final = "names"
_LONGEST_PATH: Final = 3500
"""So that the path below any root fits into the 4096 bytes that systems accept."""


class Source:
    """The entry at `path` of a root, read in place.

    `first` is the item of the entry itself, as it was last read.
    """

    def __init__(self, root: Path, path: str) -> None:
        self.root = root
        self.path = path
        self.first = Item("", "other")
        self.only: Callable[[str], bool] | None = None
        """Which paths in it are read; `None` for all."""
        self.left_out: dict[str, None] = {}
        """The sockets in it, when it was last read to be written elsewhere."""

    def opened(self) -> contextlib.AbstractContextManager[tuple[int, str]]:
        """The open directory that the entry is in, and its name."""
        return opened_parent(self.root, self.path)

    def items(self, *, contents: bool = True) -> Iterator[Item]:
        """The items of the entry; see `tree`."""
        with self.opened() as (parent, name):
            for item in tree(parent, name, contents=contents, only=self.only):
                if not item.path:
                    self.first = item
                yield item

    def portable(self) -> Iterator[Item]:
        """The items of the entry, without the sockets in it, which are nothing without a process.

        Raises `OSError` if one cannot be written elsewhere.
        """
        self.left_out = {}
        for item in self.items():
            is_name_of_one = item.kind == "link" and item.target in self.left_out
            if is_name_of_one or (item.is_socket and item.path):
                self.left_out[item.path] = None
                continue
            if item.kind == "other":
                from .tarring import in_no_archive

                raise StorageError(0, in_no_archive(item.path))
            if len(os.fsencode(item.path)) > _LONGEST_PATH:
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            yield item


class Workbench:
    """The open batch of a holding area that an entry is packed into, as `DATA`. Close it after use:
    that deletes what is still there.

    Raises `NotClaimed`, or `StorageError` on a full disk.
    """

    def __init__(self, archive: Path) -> None:
        self._area = HoldingArea(archive, batch=True)
        try:
            directory = self._area.open()
            if directory is None:
                raise StorageError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except BaseException:
            self._area.close()
            raise
        self.directory = directory
        self.place = self._area.anchored
        """A path to it that nobody can redirect."""

    def close(self) -> None:
        """Delete what was not moved away, and close what is open."""
        try:
            for name in at.listdir(self.directory):
                remove_at(self.directory, name)
        finally:
            self._area.close()

    @property
    def inode(self) -> int:
        """The inode of what was packed."""
        return at.stat(DATA, dir_fd=self.directory, follow_symlinks=False).st_ino

    @property
    def packed_bytes(self) -> int:
        """How many bytes it takes on disk; 0 if unknown."""
        measured = measured_at(self.directory, DATA)
        return 0 if measured is None else measured.size

    def pack(self, source: Source, form: ArchiveFormat) -> Digest:
        """Pack the entry in that format, and return its digest. Raises `OSError` if that fails or
        the result differs from what was read.
        """
        return self._copy(source) if form == "dir" else self._tar(source, form)

    def _copy(self, source: Source) -> Digest:
        digester = Digester()
        write(digester.passing(source.portable()), os.path.join(self.place, DATA))
        found = digester.digest()
        if digest(tree(self.directory, DATA, afresh=True)) != found:
            raise StorageError(0, "the copy differs")
        return found

    def _tar(self, source: Source, form: ArchiveFormat) -> Digest:
        """Pack it with the system's `tar`, or with `tarfile` if that fails."""
        from .tarring import pack_by_python, pack_by_system, system_tar

        category, _, name = source.path.rpartition("/")
        has_attributes = False
        digester = Digester()
        with open(os.path.join(self.place, _NAMES), "xb") as names:
            for item in digester.passing(source.portable()):
                names.write(os.fsencode(f"./{name}/{item.path}".rstrip("/")) + b"\0")
                has_attributes = has_attributes or bool(item.attributes)
                if item.read is not None:
                    for _ in chunks(item):
                        pass
        found = digester.digest()
        tar = system_tar()
        if tar is not None:
            above = str(source.root / category)
            try:
                with self._packing(form, found) as file:
                    pack_by_system(tar, form, above, names.name, file, attributes=has_attributes)
                return found
            except (OSError, Refused):
                # Not every `tar` can do everything. If it was not the cause, `tarfile` fails too.
                remove_at(self.directory, DATA)
        with self._packing(form, found) as file:
            pack_by_python(form, name, source.portable(), file)
        return found

    @contextlib.contextmanager
    def _packing(self, form: ArchiveFormat, expected: Digest) -> Iterator[IO[bytes]]:
        """The file to pack into. At the end it is flushed to disk and compared with the entry."""
        from .tarring import unpacked

        with open(os.path.join(self.place, DATA), "x+b", opener=_private) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(0)
            if digest(unpacked(form, file)) != expected:
                raise StorageError(0, "what was packed differs")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
