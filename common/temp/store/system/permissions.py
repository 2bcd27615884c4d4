"""Permissions of files and directories that are about to be moved or removed."""

from __future__ import annotations

import errno
import os
import stat

from . import at
from .at import PASSING_FLAGS


def is_closed(error: OSError) -> bool:
    """Whether the error is a lack of permission, rather than a failure of the system."""
    return error.errno in (errno.EACCES, errno.EPERM)


def make_accessible(parent: int, name: str) -> None:
    """Give the owner read, write and search permission on the directory `name` in `parent`.

    Uses an `O_PATH` descriptor, so that a symlink put in its place is not followed.
    """
    if not hasattr(os, "O_PATH") or not at.RELATIVE:
        if os.chmod in os.supports_follow_symlinks and at.RELATIVE:
            os.chmod(name, 0o700, dir_fd=parent, follow_symlinks=False)
        return
    descriptor = os.open(name, PASSING_FLAGS, dir_fd=parent)
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        os.chmod(f"/proc/self/fd/{descriptor}", mode | 0o700)
    except FileNotFoundError:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
    finally:
        os.close(descriptor)
