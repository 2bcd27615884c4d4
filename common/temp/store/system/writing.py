"""Writing to what somebody named, and anybody may have put there: nothing is waited for."""

from __future__ import annotations

import errno
import os
import stat

from ...errors import Refused

_FLAGS = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


def append(path: str | os.PathLike[str], content: str, *, anybodys: bool = False) -> None:
    """Append to a file, or write to a pipe or a device that somebody reads.

    Raises `OSError`, also for a pipe that nobody reads, and `Refused` for one of another user, who
    may open it and never read; unless it may be `anybodys`.
    """
    try:
        descriptor = os.open(path, _FLAGS, 0o666)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(0, "no process reads from it", os.fspath(path)) from None
        raise
    with open(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) and hasattr(os, "geteuid"):
            is_pipe = stat.S_ISFIFO(status.st_mode)
            if is_pipe and not anybodys and status.st_uid not in (0, os.geteuid()):
                raise Refused(f"{path} is a pipe of another user; choose another file")
            os.set_blocking(descriptor, True)  # whoever reads may take its time
        file.write(content)
