"""Replaces a file by its rewritten version in one step, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable
from typing import Final

from ..errors import reason_of
from ..store.system.at import PLAIN_FLAGS
from ..store.system.locks import lock_file
from .findings import FileResult

_READ: Final = os.O_RDONLY | PLAIN_FLAGS


def replace_file(top: str, result: FileResult) -> str:
    """Why the file of `result` could not be rewritten; "" if it was.

    At any time the file is the old one or the new one. Its mode, owner and extended attributes
    stay; a file that has changed since it was read stays as it is. Accepted race: a change between
    that check and the rename.

    The new text is written to a file without a name, which disappears if the process is killed. It
    has a name only just before the rename; if a kill leaves it then, the next run removes it.
    """
    assert result.after is not None
    path = os.path.join(top, result.path)
    try:
        inside = os.path.dirname(result.path)
        above = os.path.normpath(os.path.join(os.path.realpath(top), inside))
        if os.path.realpath(os.path.dirname(path)) != above:
            return "is behind a link now; left as it is"
        before = os.lstat(path)
        if not stat.S_ISREG(before.st_mode):
            return "is no longer a plain file; left as it is"
        if before.st_nlink > 1:
            return "has other hard links, which would keep the old text; left as it is"
        with _Fresh(os.path.dirname(path)) as fresh:
            fresh.fill(result.after, path, before)
            if _has_changed(path, before, result.before):
                return "has changed since it was read; run it again"
            fresh.take_the_place_of(path)
    except OSError as error:
        return f"cannot be written: {reason_of(error)}"
    return ""


def remove_leftovers(top: str, names: Iterable[str]) -> None:
    """Remove those of `names` that a killed run left and no active run needs."""
    for name in names:
        path = os.path.join(top, name)
        with contextlib.suppress(OSError):
            descriptor = os.open(path, _READ)
            try:
                # An active run holds the lock until its file has another name.
                is_left = stat.S_ISREG(os.fstat(descriptor).st_mode) and lock_file(descriptor)
            finally:
                os.close(descriptor)
            if is_left:
                os.unlink(path)


class _Fresh:
    """A new file in `directory`, locked while its process lives, and deleted if not used."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.path = ""
        self.descriptor = self._open()
        lock_file(self.descriptor)

    def _open(self) -> int:
        with contextlib.suppress(AttributeError, OSError):
            if os.path.isdir("/proc/self/fd"):  # needed to give it a name later
                return os.open(self.directory, os.O_TMPFILE | os.O_RDWR, 0o600)
        descriptor, self.path = tempfile.mkstemp(".tmp", ".tempkeep-", self.directory)
        return descriptor

    def __enter__(self) -> _Fresh:
        return self

    def __exit__(self, *raised: object) -> None:
        if os.name == "nt":
            self._close()
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        self._close()

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def fill(self, text: bytes, old: str, before: os.stat_result) -> None:
        """Write `text`, with the owner, the mode and the extended attributes of the file `old`."""
        with open(self.descriptor, "wb", closefd=False) as file:
            file.write(text)
        here = self.path or f"/proc/self/fd/{self.descriptor}"
        own = os.fstat(self.descriptor)
        # Must come first: it clears bits of the mode, and capabilities.
        if hasattr(os, "fchown") and (before.st_uid, before.st_gid) != (own.st_uid, own.st_gid):
            os.fchown(self.descriptor, before.st_uid, before.st_gid)
        shutil.copystat(old, here)
        os.utime(here)
        os.fsync(self.descriptor)

    def take_the_place_of(self, path: str) -> None:
        """Replace the file at `path` by this one."""
        if not self.path:
            self.path = self._named()
        if os.name == "nt":  # an open file cannot be renamed there
            self._close()
        os.replace(self.path, path)
        self.path = ""

    def _named(self) -> str:
        """Give the file a name that nothing has, and return it."""
        above = os.open(self.directory or os.curdir, os.O_RDONLY | os.O_DIRECTORY)
        try:
            while True:
                name = f".tempkeep-{os.urandom(4).hex()}.tmp"
                with contextlib.suppress(FileExistsError):
                    # With `dst_dir_fd` this is `linkat`, which follows the link in /proc.
                    os.link(f"/proc/self/fd/{self.descriptor}", name, dst_dir_fd=above)
                    return os.path.join(self.directory, name)
        finally:
            os.close(above)


def _has_changed(path: str, before: os.stat_result, text: bytes) -> bool:
    """Whether the file at `path` was replaced, or its text has changed."""
    descriptor = os.open(path, _READ)
    with open(descriptor, "rb") as file:
        seen = os.fstat(descriptor)
        same = (seen.st_dev, seen.st_ino, seen.st_mode) == (
            before.st_dev,
            before.st_ino,
            before.st_mode,
        )
        return not same or file.read() != text
