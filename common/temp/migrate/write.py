"""Replaces a file by its rewritten version in one step, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from ..errors import reason_of
from ..store.system import at
from ..store.system.at import PLAIN_FLAGS
from ..store.system.locks import lock_file
from ..store.system.opening import opened_in
from .findings import FileResult

_READ: Final = os.O_RDONLY | PLAIN_FLAGS
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | PLAIN_FLAGS


def replace_file(top: str, result: FileResult) -> str:
    """Why the file of `result` could not be rewritten; "" if it was.

    The replacement is atomic. Mode, owner and extended attributes are kept, and a file that has
    changed since it was read is not touched; the race between that check and the rename is
    accepted. All operations are relative to one open directory, so replacing the directory
    meanwhile has no effect.

    The new text is written to an unnamed file, which disappears if the process is killed. It gets a
    name just before the rename; if the process is killed then, the next run removes it.
    """
    assert result.after is not None
    try:
        with _opened(top, result.path) as (directory, name):
            before = directory.look(name)
            if not stat.S_ISREG(before.st_mode):
                return "is no longer a plain file; left as it is"
            if before.st_nlink > 1:
                return "has other hard links, which would keep the old text; left as it is"
            with _Fresh(directory) as fresh:
                fresh.fill(result.after, name, before)
                if _has_changed(directory, name, before, result.before):
                    return "has changed since it was read; run it again"
                fresh.take_the_place_of(name)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            return "is now behind a symlink; left as it is"
        return f"cannot be written: {reason_of(error)}"
    return ""


def remove_leftovers(top: str, names: Iterable[str]) -> None:
    """Remove the `names` that a killed run left, but not those that an active run still needs."""
    for path in names:
        with contextlib.suppress(OSError), _opened(top, path) as (directory, name):
            descriptor = directory.open(name, _READ)
            try:
                # An active run holds the lock until its file has another name.
                is_left = stat.S_ISREG(os.fstat(descriptor).st_mode) and lock_file(descriptor)
            finally:
                os.close(descriptor)
            if is_left:
                directory.unlink(name)


class _Directory(NamedTuple):
    """An open directory, or its path where the platform has no `dir_fd`."""

    path: str
    descriptor: int

    def __call__(self, name: str) -> tuple[str, int | None]:
        """The path and `dir_fd` arguments with which a function of `os` finds `name` in it."""
        return (name, self.descriptor) if at.RELATIVE else (os.path.join(self.path, name), None)

    def look(self, name: str) -> os.stat_result:
        path, dir_fd = self(name)
        return os.stat(path, dir_fd=dir_fd, follow_symlinks=False)

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        path, dir_fd = self(name)
        return os.open(path, flags, mode, dir_fd=dir_fd)

    def unlink(self, name: str) -> None:
        path, dir_fd = self(name)
        os.unlink(path, dir_fd=dir_fd)

    def replace(self, name: str, target: str) -> None:
        path, dir_fd = self(name)
        os.replace(path, self(target)[0], src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


@contextlib.contextmanager
def _opened(top: str, path: str) -> Iterator[tuple[_Directory, str]]:
    """The directory of `path` below `top`, opened without following symlinks, and the file name."""
    *above, name = path.replace(os.sep, "/").split("/")
    with opened_in(top, *above) as descriptor:
        yield _Directory(os.path.join(top, *above), descriptor), name


class _Fresh:
    """A new file in `directory`, locked while its process lives and deleted if not used."""

    def __init__(self, directory: _Directory) -> None:
        self.directory = directory
        self.name = ""
        self.descriptor = self._open()
        lock_file(self.descriptor)

    def _open(self) -> int:
        with contextlib.suppress(AttributeError, OSError):
            if os.path.isdir("/proc/self/fd"):  # needed to name it later
                return self.directory.open(os.curdir, os.O_TMPFILE | os.O_RDWR)
        while True:
            name = _new_name()
            with contextlib.suppress(FileExistsError):
                descriptor = self.directory.open(name, _NEW)
                self.name = name
                return descriptor

    def __enter__(self) -> _Fresh:
        return self

    def __exit__(self, *raised: object) -> None:
        if os.name == "nt":
            self._close()
        if self.name:
            with contextlib.suppress(FileNotFoundError):
                self.directory.unlink(self.name)
        self._close()

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def fill(self, text: bytes, old: str, before: os.stat_result) -> None:
        """Write `text`, with the owner, the mode and the extended attributes of the file `old`."""
        with open(self.descriptor, "wb", closefd=False) as file:
            file.write(text)
        own = os.fstat(self.descriptor)
        # Must come first: it clears set-ID bits and capabilities.
        if hasattr(os, "fchown") and (before.st_uid, before.st_gid) != (own.st_uid, own.st_gid):
            os.fchown(self.descriptor, before.st_uid, before.st_gid)
        source = self.directory.open(old, _READ)
        try:
            if at.RELATIVE:
                # It passes its arguments to functions of `os` that also accept file descriptors.
                copystat: Callable[[int, int], None] = shutil.copystat  # type: ignore[assignment]
                copystat(source, self.descriptor)
                os.utime(self.descriptor)
            else:
                here = self.directory(self.name)[0]
                shutil.copystat(self.directory(old)[0], here)
                os.utime(here)
        finally:
            os.close(source)
        os.fsync(self.descriptor)

    def take_the_place_of(self, name: str) -> None:
        """Replace the file `name` with this one."""
        if not self.name:
            self.name = self._named()
        if os.name == "nt":  # where open files cannot be renamed
            self._close()
        self.directory.replace(self.name, name)
        self.name = ""

    def _named(self) -> str:
        """Link the file under a new, unused name and return that."""
        while True:
            name = _new_name()
            with contextlib.suppress(FileExistsError):
                # With `dst_dir_fd` this calls `linkat`, which follows the symlink in /proc.
                here = f"/proc/self/fd/{self.descriptor}"
                os.link(here, name, dst_dir_fd=self.directory.descriptor)
                return name


def _new_name() -> str:
    return f".tempkeep-{os.urandom(4).hex()}.tmp"


def _has_changed(directory: _Directory, name: str, before: os.stat_result, text: bytes) -> bool:
    """Whether the file has been replaced, or has another mode or text."""
    with open(directory.open(name, _READ), "rb") as file:
        seen = os.fstat(file.fileno())
        same = (seen.st_dev, seen.st_ino, seen.st_mode) == (
            before.st_dev,
            before.st_ino,
            before.st_mode,
        )
        return not same or file.read() != text
