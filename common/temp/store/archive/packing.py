"""Copies an entry into the holding area of an archive, or packs it as a tar, and compares the
result with the entry.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from ...errors import Refused, StorageError
from ..claiming.area import HoldingArea
from ..shelf.listing import measured_at
from ..shelf.source import Source
from ..system import at
from ..system.archive_formats import ArchiveFormat
from ..trees.contents import Digest, Digester, chunks, digest, tree
from ..trees.removal import remove_at
from ..trees.writing import write

DATA: Final = "data"
"""The name of a packed entry in the holding area."""

_NAMES: Final = "names"


class Workbench:
    """The open batch of a holding area into which an entry is packed, as `DATA`. Close it after
    use: this deletes what is still there.

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
        """A path to it that cannot be redirected by renames or symlinks."""

    def close(self) -> None:
        """Delete what was not moved away, and close all descriptors."""
        try:
            for name in at.listdir(self.directory):
                remove_at(self.directory, name)
        finally:
            self._area.close()

    @property
    def inode(self) -> int:
        """The inode of the packed entry."""
        return at.stat(DATA, dir_fd=self.directory, follow_symlinks=False).st_ino

    @property
    def packed_bytes(self) -> int:
        """The bytes that it takes on disk; 0 if unknown."""
        measured = measured_at(self.directory, DATA)
        return 0 if measured is None else measured.size

    def pack(self, source: Source, form: ArchiveFormat) -> Digest:
        """Pack the entry in that format, and return its digest. Raises `OSError` if that fails or
        the result differs from the entry.
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
                # Some versions of `tar` lack features. If that is not why, `tarfile` fails too.
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
