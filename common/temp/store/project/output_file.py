"""Writing to a file that the user named, as `--plan` and `--output` do."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from ...errors import StorageError
from ..system import at
from ..system.opening import opened_real
from ..system.user_path import users_path
from ..system.writing import append, rewrite
from .project import absolute, check_way

_STREAM: Final = re.compile("/dev/(std(in|out|err)$|fd/)|/proc/[^/]+/fd/")
"""What leads to a file that a process has open. In `/dev/shm`, anybody can put a link."""


def write_named(path: Path, content: str, remedy: str = "choose another file") -> None:
    """Write to a path that the user named: to a file whole or not at all, following a symlink that
    was not planted; to a pipe or a device directly, without replacing it.

    A pipe without a reader is an error. Raises `StorageError`, or `Refused` as `check_way` does and
    for a pipe of another user.
    """
    path = users_path(path)
    try:
        if _STREAM.match(os.path.abspath(path)):
            # It may lead to a file with content, and root could replace the symlink: append.
            append(path, content, anybodys=True)
            return
        real = check_way(absolute(path))
        with opened_real(real.parent) as above:  # whatever takes its place after that look
            named = os.path.join(at.anchored(above, str(real.parent)), real.name)
            if not os.path.lexists(named) or stat.S_ISREG(os.lstat(named).st_mode):
                rewrite(named, content)
            else:
                append(named, content, shown=path)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError.of(f"cannot write {path}", error, remedy) from error
