"""Writing to the file that a person named, as `--plan` and `--output` do."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ...errors import StorageError
from ..system.userpath import users_path
from ..system.writing import append, write_whole
from .project import absolute, check_way


def write_named(path: Path, content: str, remedy: str = "choose another file") -> None:
    """Write to what a person named: a file whole or not at all, also behind a link, if that was not
    planted; a pipe or a device as it comes, which stays what it is.

    A pipe that nobody reads is not waited for. Raises `StorageError`, or `Refused` as `check_way`
    and for a pipe of another user.
    """
    path = users_path(path)
    is_special = os.path.abspath(path).startswith(("/dev/", "/proc/"))
    if not is_special:
        check_way(absolute(path))
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        is_file = True
    except OSError as error:
        raise StorageError.of(f"cannot write {path}", error, remedy) from error
    # What /dev/stdout leads to may be a file with something in it, and root could replace the link.
    if is_file and not is_special:
        write_whole(Path(os.path.realpath(path)) if path.is_symlink() else path, content, remedy)
        return
    try:
        append(path, content, anybodys=is_special)
    except OSError as error:
        raise StorageError.of(f"cannot write {path}", error, remedy) from error
