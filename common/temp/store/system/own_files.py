"""The program's own files in open directories, checked for tampering before each use."""

from __future__ import annotations

import contextlib
import os
import stat

from ...errors import Refused
from . import at
from .writing import replacing


def open_own(name: str, flags: int, mode: int = 0o666, *, dir_fd: int, place: str) -> int:
    """The file `name` in the open directory at `place`, opened with `flags`.

    Raises `OSError`, or `Refused` for anything but a regular file with a single name: a file with
    a second name, which an unpacked archive can create, may hold a user's work.
    """
    try:
        descriptor = at.open_file(name, flags, mode, dir_fd=dir_fd)
    except OSError:
        with contextlib.suppress(OSError):
            _check(at.stat(name, dir_fd=dir_fd, follow_symlinks=False), name, place)
        raise
    try:
        _check(os.fstat(descriptor), name, place)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def set_time(name: str, when: float | None, *, dir_fd: int, place: str) -> None:
    """Set the modification time of the file `name` in the open directory to `when`, or to now.

    Raises as `open_own` does.
    """
    _check(at.stat(name, dir_fd=dir_fd, follow_symlinks=False), name, place)
    times = None if when is None else (when, when)
    if at.RELATIVE:
        os.utime(name, times, dir_fd=dir_fd, follow_symlinks=False)
    else:
        os.utime(os.path.join(place, name), times)


def write_new(name: str, text: str, *, dir_fd: int) -> bool:
    """Create the file `name` in the open directory with `text`; return `False` if it exists.

    Written whole or not at all, unless killed. Raises `OSError`.
    """
    try:
        descriptor = at.open_file(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=dir_fd)
    except FileExistsError:
        return False
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except BaseException:
        with contextlib.suppress(OSError):
            at.unlink(name, dir_fd=dir_fd)
        raise
    return True


def replace_own(name: str, begin: str, text: str, *, dir_fd: int, place: str) -> None:
    """Atomically write `begin` and `text` to the file `name` in the open directory, readable by
    everyone.

    Raises `OSError`, or `Refused` if the existing file was not written by this function: it has a
    second name, is not a regular file, or does not begin with `begin`. A kill leaves a hidden file
    beside it. Accepted race: a file that appears between the check and the rename is replaced.
    """
    wanted = begin.encode()
    with contextlib.suppress(FileNotFoundError):
        descriptor = open_own(name, os.O_RDONLY, dir_fd=dir_fd, place=place)
        with open(descriptor, "rb") as file:
            if file.read(len(wanted)) != wanted:
                path = os.path.join(place, name)
                raise Refused(f"{path} was not written for this; choose another file, or remove it")
    with replacing(os.path.join(at.anchored(dir_fd, place), name), mode=0o644) as file:
        if hasattr(os, "fchmod"):
            os.fchmod(file.fileno(), 0o644)  # whatever the umask is
        file.write(wanted + text.encode())


def _check(status: os.stat_result, name: str, place: str) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        path = os.path.join(place, name)
        raise Refused(f"{path} is not a file made by this program; remove it")
