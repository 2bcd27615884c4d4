"""Renaming that replaces nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from . import at


def rename_new(
    source: str, target: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
) -> None:
    """As `rename`, but never over anything: `FileExistsError` if something is at `target`.

    Linux can do that in one step. Elsewhere, and where a filesystem cannot, a directory replaces an
    empty one that is made at this very instant: the race that is accepted there.
    """
    here = {"src_dir_fd": src_dir_fd, "dst_dir_fd": dst_dir_fd}
    number = _rename_noreplace(source, target, src_dir_fd, dst_dir_fd)
    if number not in (errno.ENOSYS, errno.EINVAL):
        if number:
            raise OSError(number, os.strerror(number), target)
        return
    if not stat.S_ISDIR(at.stat(source, dir_fd=src_dir_fd, follow_symlinks=False).st_mode):
        try:
            at.link(source, target, follow_symlinks=False, **here)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise
        else:
            at.unlink(source, dir_fd=src_dir_fd)
            return
    with contextlib.suppress(FileNotFoundError):
        at.stat(target, dir_fd=dst_dir_fd, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    at.rename(source, target, **here)


def _rename_noreplace(
    source: str, target: str, src_dir_fd: int | None, dst_dir_fd: int | None
) -> int:
    """The `errno` of Linux's `renameat2` that replaces nothing; 0 if it was done."""
    import ctypes

    if not at.RELATIVE:
        return errno.ENOSYS
    here, no_replace = -100, 1
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return errno.ENOSYS
    done = call(
        here if src_dir_fd is None else src_dir_fd,
        os.fsencode(source),
        here if dst_dir_fd is None else dst_dir_fd,
        os.fsencode(target),
        no_replace,
    )
    return ctypes.get_errno() if done else 0
