"""Opening directories without following symlinks that another user may have planted."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from . import at
from .at import DIRECTORY_FLAGS, PASSING_FLAGS, ROOT_FLAGS

_OPENAT2: Final = 437
_NO_XDEV: Final = 1

_MOST_LINKS: Final = 40
"""The limit of Linux."""


def open_unmounted(name: str, *, dir_fd: int) -> int:
    """A descriptor of the directory `name` in an open one; `OSError` (`EXDEV`) for a mount point.

    A bind mount of the same filesystem is noticed too. Linux 5.6 and later check this in the
    opening call, `openat2`, so there is no race with a mount. Elsewhere device numbers are
    compared, which does not reveal a bind mount.
    """
    call = _openat2() if at.RELATIVE else None
    number = errno.ENOSYS
    if call is not None:
        result = call(dir_fd, os.fsencode(name))
        if result >= 0:
            return result
        number = -result
    # EPERM: some containers block system calls that they do not know.
    if number in (errno.ENOSYS, errno.EPERM, errno.EINTR):
        descriptor = at.open(name, DIRECTORY_FLAGS, dir_fd=dir_fd)
        if at.fstat(descriptor).st_dev == at.fstat(dir_fd).st_dev:
            return descriptor
        at.close(descriptor)
        number = errno.EXDEV
    raise OSError(number, os.strerror(number), name)


@functools.cache
def _openat2() -> Callable[[int, bytes], int] | None:
    """Linux's `openat2`, crossing no mount point; it returns a descriptor or a negated `errno`."""
    if sys.platform != "linux":
        return None
    try:
        import ctypes  # missing from some builds of Python

        call = ctypes.CDLL(None, use_errno=True).syscall
    except (ImportError, AttributeError, OSError):
        return None
    call.restype = ctypes.c_long
    how = (ctypes.c_uint64 * 3)(DIRECTORY_FLAGS, 0, _NO_XDEV)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    number = ctypes.c_long(_OPENAT2)

    def open_at(dir_fd: int, name: bytes) -> int:
        result: int = call(number, ctypes.c_int(dir_fd), name, ctypes.byref(how), size)
        return result if result >= 0 else -ctypes.get_errno()

    return open_at


def open_below(top: int, parts: Iterable[str], *, unmounted: bool = False) -> int:
    """A new descriptor of the directory `parts` below the open `top`; without parts, of `top`.

    Each part is opened relative to the one before and cannot be a symlink. With `unmounted`, no
    part may be a mount point (see `open_unmounted`). Raises `OSError`, whose `filename` is the
    part.
    """
    current = at.dup(top)
    for part in parts:
        try:
            if unmounted:
                below = open_unmounted(part, dir_fd=current)
            else:
                below = at.open(part, DIRECTORY_FLAGS, dir_fd=current)
        finally:
            at.close(current)
        current = below
    return current


@contextlib.contextmanager
def opened(
    path: str | os.PathLike[str], flags: int = DIRECTORY_FLAGS, *, dir_fd: int | None = None
) -> Iterator[int]:
    """The directory at `path`, open until the block ends. Raises `OSError`."""
    descriptor = at.open(os.fspath(path), flags, dir_fd=dir_fd)
    try:
        yield descriptor
    finally:
        at.close(descriptor)


@contextlib.contextmanager
def opened_real(path: Path) -> Iterator[int]:
    """The directory at the absolute `path`, open until the block ends.

    Raises `OSError`, also if any part of the path is a symlink.
    """
    above: int | None = None
    try:
        if at.RELATIVE and hasattr(os, "O_PATH"):
            above = os.open(path.anchor, PASSING_FLAGS)
            for part in path.parts[1:-1]:
                below = os.open(part, PASSING_FLAGS, dir_fd=above)
                os.close(above)
                above = below
        name = path if above is None else path.name or os.curdir
        top = at.open(name, DIRECTORY_FLAGS, dir_fd=above)
    finally:
        if above is not None:
            os.close(above)
    try:
        yield top
    finally:
        at.close(top)


@contextlib.contextmanager
def opened_trusted(path: str) -> Iterator[int]:
    """The directory at the absolute `path`, open until the block ends. Raises `OSError`, with
    `ELOOP` for a symlink in the path that belongs neither to the caller nor to root.

    A user who can write to a parent directory could redirect a deletion by a symlink. The owner is
    read from an open descriptor of the symlink that is then followed, so there is no race.
    """
    if not (at.RELATIVE and hasattr(os, "O_PATH")):
        with opened(path, ROOT_FLAGS) as top:
            yield top
        return
    current, parts, links = os.open(os.sep, PASSING_FLAGS), path.split(os.sep)[::-1], 0
    try:
        while parts:
            part = parts.pop() or os.curdir
            try:
                below = os.open(part, PASSING_FLAGS, dir_fd=current)
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                target, links = _target_of(part, current), links + 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), part) from None
                parts += target.split(os.sep)[::-1]
                if not target.startswith(os.sep):
                    continue
                below = os.open(os.sep, PASSING_FLAGS)
            os.close(current)
            current = below
        top = at.open(os.curdir, DIRECTORY_FLAGS, dir_fd=current)
    finally:
        os.close(current)
    try:
        yield top
    finally:
        at.close(top)


def _target_of(name: str, above: int) -> str:
    """The target of the symlink `name` in the open directory, if the caller or root owns it."""
    link = os.open(name, PASSING_FLAGS & ~at.O_DIRECTORY, dir_fd=above)
    try:
        status = os.fstat(link)
        if not stat.S_ISLNK(status.st_mode):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
        if status.st_uid not in (0, os.geteuid()):
            raise OSError(errno.ELOOP, "on the way to it is a symlink of another user", name)
        return os.readlink("", dir_fd=link)
    finally:
        os.close(link)


@contextlib.contextmanager
def opened_made(path: Path) -> Iterator[int]:
    """As `opened_real`, but missing parts are created, each relative to its open parent."""
    there = next((one for one in (path, *path.parents) if os.path.lexists(one)), path)
    with contextlib.ExitStack() as stack:
        current = stack.enter_context(opened_real(there))
        for part in path.relative_to(there).parts:
            with contextlib.suppress(FileExistsError):
                at.mkdir(part, dir_fd=current)
            current = stack.enter_context(opened(part, dir_fd=current))
        yield current


@contextlib.contextmanager
def opened_below(top: int, *parts: str, unmounted: bool = False) -> Iterator[int]:
    """As `open_below`, open until the block ends."""
    descriptor = open_below(top, parts, unmounted=unmounted)
    try:
        yield descriptor
    finally:
        at.close(descriptor)


@contextlib.contextmanager
def opened_in(root: str | os.PathLike[str], *parts: str) -> Iterator[int]:
    """The directory `parts` of `root`, open until the block ends; only `root` may be a symlink.

    Raises `OSError`.
    """
    with opened(root, ROOT_FLAGS) as top, opened_below(top, *parts) as directory:
        yield directory
