"""Writing to a file that the user named, as `--plan` and `--output` do."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ...errors import StorageError
from ..system.userpath import users_path
from ..system.writing import append, write_whole
from .project import absolute, check_way


def write_named(path: Path, content: str, remedy: str = "choose another file") -> None:
    """Write to a path that the user named: to a file whole or not at all, following a symlink that
    was not planted; to a pipe or a device directly, without replacing it.

    A pipe without a reader is an error. Raises `StorageError`, or `Refused` as `check_way` does and
    for a pipe of another user.
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
    # /dev/stdout may lead to a file with content, and root could replace the symlink: append.
    if is_file and not is_special:
        write_whole(Path(os.path.realpath(path)) if path.is_symlink() else path, content, remedy)
        return
    try:
        append(path, content, anybodys=is_special)
    except OSError as error:
        raise StorageError.of(f"cannot write {path}", error, remedy) from error
