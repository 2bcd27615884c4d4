"""Renaming without replacing."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Final

from . import at
from .at import DIRECTORY_FLAGS
from .permissions import make_accessible

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


def rename_new(name: str, target: str, *, src_dir_fd: int, dst_dir_fd: int | None = None) -> None:
    """As `os.rename`, but raises `FileExistsError` if anything is at `target`.

    A read-only directory stays read-only. Linux does this in one step. Elsewhere, and on
    filesystems without support, an empty placeholder takes the name first and is then replaced.
    Accepted race: if another process replaces the placeholder in between, its file is lost.
    """
    try:
        _rename(name, target, src_dir_fd, dst_dir_fd)
    except PermissionError:
        # A directory that moves to another parent must itself be writable.
        mode = at.stat(name, dir_fd=src_dir_fd, follow_symlinks=False).st_mode
        if not stat.S_ISDIR(mode) or mode & 0o700 == 0o700 or not at.RELATIVE:
            raise
        make_accessible(src_dir_fd, name)
        # Opened, so that the mode is restored on it, and not on something put in its place.
        directory = at.open(name, DIRECTORY_FLAGS, dir_fd=src_dir_fd)
        try:
            _rename(name, target, src_dir_fd, dst_dir_fd)
        finally:
            with contextlib.suppress(OSError):  # the rename has its result, whatever the mode
                os.fchmod(directory, stat.S_IMODE(mode))
            at.close(directory)


def _rename(name: str, target: str, src_dir_fd: int, dst_dir_fd: int | None) -> None:
    here = {"src_dir_fd": src_dir_fd, "dst_dir_fd": dst_dir_fd}
    number = _rename_noreplace(name, target, src_dir_fd, dst_dir_fd)
    if number not in (errno.ENOSYS, errno.EINVAL):
        if number:
            raise OSError(number, os.strerror(number), target)
        return
    is_directory = stat.S_ISDIR(at.stat(name, dir_fd=src_dir_fd, follow_symlinks=False).st_mode)
    if not is_directory:
        try:
            at.link(name, target, follow_symlinks=False, **here)
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise
        else:
            at.unlink(name, dir_fd=src_dir_fd)
            return
    if at.RELATIVE:
        taken = _take(target, dst_dir_fd, is_directory)
        try:
            if not _is_still(taken, target, dst_dir_fd):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
            at.rename(name, target, **here)
        except BaseException as error:
            with contextlib.suppress(OSError):
                if _is_still(taken, target, dst_dir_fd):
                    (at.rmdir if is_directory else at.unlink)(target, dir_fd=dst_dir_fd)
            if isinstance(error, OSError) and error.errno == errno.ENOTEMPTY:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from error
            raise
        return
    with contextlib.suppress(FileNotFoundError):
        at.stat(target, dir_fd=dst_dir_fd, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    at.rename(name, target, **here)  # on Windows it never replaces


def _take(target: str, dst_dir_fd: int | None, is_directory: bool) -> os.stat_result:
    """Create something empty at `target`; return its status. Raises `FileExistsError`."""
    if is_directory:
        at.mkdir(target, 0o700, dir_fd=dst_dir_fd)
    else:
        at.close(at.open(target, _NEW, 0o600, dir_fd=dst_dir_fd))
    return at.stat(target, dir_fd=dst_dir_fd, follow_symlinks=False)


def _is_still(taken: os.stat_result, target: str, dst_dir_fd: int | None) -> bool:
    """Whether `taken` is still at `target`, with an unchanged size."""
    try:
        found = at.stat(target, dir_fd=dst_dir_fd, follow_symlinks=False)
    except OSError:
        return False
    return (found.st_dev, found.st_ino, found.st_size) == (
        taken.st_dev, taken.st_ino, taken.st_size,
    )  # fmt: skip


def _rename_noreplace(name: str, target: str, src_dir_fd: int, dst_dir_fd: int | None) -> int:
    """Call Linux's `renameat2` with `RENAME_NOREPLACE`; return its `errno`, 0 for success."""
    import ctypes

    if not at.RELATIVE:
        return errno.ENOSYS
    here, no_replace = -100, 1
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return errno.ENOSYS
    done = call(
        src_dir_fd,
        os.fsencode(name),
        here if dst_dir_fd is None else dst_dir_fd,
        os.fsencode(target),
        no_replace,
    )
    return ctypes.get_errno() if done else 0
