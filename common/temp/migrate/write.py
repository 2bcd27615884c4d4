"""Puts a rewritten file in the place of the old one, in one step, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile

from ..errors import reason_of
from .findings import FileResult


def replace_file(top: str, result: FileResult) -> str:
    """Why the file of `result` could not be rewritten; "" if it was.

    At every instant the file is the old one or the new one. Its mode stays; a file that has changed
    since it was read stays as it is. Between that last look and the rename lies the race that is
    accepted here.
    """
    assert result.after is not None
    path = os.path.join(top, result.path)
    try:
        before = os.lstat(path)
        if not stat.S_ISREG(before.st_mode):
            return "is no plain file any more; left as it is"
        if before.st_nlink > 1:
            return "has other hard links, which would keep the old text; left as it is"
        descriptor, fresh = tempfile.mkstemp(".tmp", ".tempkeep-", os.path.dirname(path))
        try:
            with open(descriptor, "wb") as file:
                file.write(result.after)
                file.flush()
                os.fsync(file.fileno())
            _take_over(path, fresh, before)
            with open(path, "rb") as file:
                if file.read() != result.before:
                    return "has changed since it was read; run it again"
            os.replace(fresh, path)
            fresh = ""
        finally:
            if fresh:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(fresh)
    except OSError as error:
        return f"cannot be written: {reason_of(error)}"
    return ""


def _take_over(path: str, fresh: str, before: os.stat_result) -> None:
    """Give `fresh` the mode, the owner and the extended attributes of `path`."""
    shutil.copystat(path, fresh, follow_symlinks=False)
    os.utime(fresh)
    if hasattr(os, "chown") and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(fresh, before.st_uid, before.st_gid)
        os.chmod(fresh, before.st_mode & 0o7777)
