"""Writing files whole or not at all, or appending to files that another user may have created."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from ...errors import Refused, StorageError

_NEW = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
)
_APPEND = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


@contextlib.contextmanager
def replacing(
    path: str | os.PathLike[str], fresh: str = "", mode: int = 0o666
) -> Iterator[BinaryIO]:
    """A new file that atomically replaces the one at `path` when the block ends.

    Until then it is at `fresh`, or beside `path` under a random name. An error removes it; only a
    kill leaves it there. A symlink at `path` is replaced, not followed. Raises `OSError`.
    """
    above, name = os.path.split(os.fspath(path))
    fresh = fresh or os.path.join(above, f".{name}.{os.urandom(4).hex()}")
    descriptor = os.open(fresh, _NEW, mode)
    try:
        with open(descriptor, "wb") as file:
            yield file
        os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise


def write_whole(
    path: str | os.PathLike[str], content: str, remedy: str = "choose another file"
) -> None:
    """Write a text file whole or not at all; an existing file keeps its mode and its owner.

    Raises `StorageError`, also if the existing file is not writable.
    """
    try:
        rewrite(path, content)
    except OSError as error:
        raise StorageError.of(f"cannot write {os.fspath(path)}", error, remedy) from error


def rewrite(path: str | os.PathLike[str], content: str) -> None:
    """As `write_whole`, but raises `OSError`."""
    with replacing(path) as file:
        with contextlib.suppress(FileNotFoundError):
            _take_after(os.fspath(path), file.fileno())
        file.write(content.encode("utf-8", "backslashreplace"))


def _take_after(path: str, descriptor: int) -> None:
    """Give the open file the owner and the mode of the file at `path`. Raises `OSError`."""
    before, now = os.stat(path), os.fstat(descriptor)
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    if hasattr(os, "fchown") and (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        with contextlib.suppress(OSError):  # only root may give a file away
            os.fchown(descriptor, before.st_uid, before.st_gid)
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, before.st_mode & 0o777)


def append(
    path: str | os.PathLike[str], content: str, *, anybodys: bool = False, shown: object = None
) -> None:
    """Append to a file, or write to a device or to a pipe that has a reader.

    Raises `OSError`, also for a pipe without a reader. Unless `anybodys`, raises `Refused` for a
    pipe of another user, who may open it and never read; the message names it as `shown`.
    """
    try:
        descriptor = os.open(path, _APPEND, 0o666)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(0, "no process reads from it", os.fspath(path)) from None
        raise
    with open(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) and hasattr(os, "geteuid"):
            is_pipe = stat.S_ISFIFO(status.st_mode)
            if is_pipe and not anybodys and status.st_uid not in (0, os.geteuid()):
                raise Refused(f"{shown or path} is a pipe of another user; choose another file")
            os.set_blocking(descriptor, True)  # the reader may be slow
        file.write(content)
