"""File operations relative to an open directory, emulated by path on Windows.

The names and arguments are those of `os`. Where `os` supports them, they are the functions of `os`.
Elsewhere the stand-ins in `by_path` use the path of the directory, and check before each step that
it is still the same directory. Only `open_file` is not in `os`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

RELATIVE = {os.open, os.stat, os.unlink, os.rmdir, os.rename, os.mkdir} <= os.supports_dir_fd and (
    os.scandir in os.supports_fd
)
"""Whether the platform can act relative to an open directory."""

UNWAITED_FLAGS: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""For `os.open` of an untrusted file: does not block on a FIFO."""

PLAIN_FLAGS: Final = UNWAITED_FLAGS | getattr(os, "O_NOFOLLOW", 0)
"""As `UNWAITED_FLAGS`, but does not follow a symlink either."""

if TYPE_CHECKING or RELATIVE:
    from os import close as _close
    from os import (
        dup,
        fstat,
        link,
        listdir,
        mkdir,
        open,  # noqa: A004
        readlink,
        rename,
        rmdir,
        scandir,
        stat,
        unlink,
    )

    O_DIRECTORY: int = getattr(os, "O_DIRECTORY", 0)
    O_NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
    O_LOOK: int = os.O_APPEND if sys.platform == "linux" else 0
    """Marks directories that are open only because this program looks at them; its other processes
    see the flag in `/proc`. It has no effect on reading, and no other program sets it for
    directories. Some programs set it for files, so a file needs all of `ANY_FLAGS` to be marked."""

    def open_file(
        path: str, flags: int = os.O_RDONLY, mode: int = 0o666, *, dir_fd: int | None
    ) -> int:
        """A descriptor of a file; follows no symlink and does not block on a FIFO."""
        return open(path, flags | PLAIN_FLAGS, mode, dir_fd=dir_fd)
else:  # pragma: no cover - the tests force it
    from .by_path import (
        O_DIRECTORY,
        O_LOOK,
        O_NOFOLLOW,
        dup,
        fstat,
        link,
        listdir,
        mkdir,
        open,  # noqa: A004
        open_file,
        readlink,
        rename,
        rmdir,
        scandir,
        stat,
        unlink,
    )
    from .by_path import close as _close

DIRECTORY_FLAGS: Final = (
    os.O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_LOOK | getattr(os, "O_CLOEXEC", 0)
)
"""For a directory that is not a symlink. These flags and those below are for `at.open`."""

ROOT_FLAGS: Final = DIRECTORY_FLAGS & ~O_NOFOLLOW
"""For a directory that may be a symlink, as a root may."""

PASSING_FLAGS: Final = (
    getattr(os, "O_PATH", os.O_RDONLY) | O_DIRECTORY | O_NOFOLLOW | getattr(os, "O_CLOEXEC", 0)
)
"""For a directory that is not a symlink and is only traversed, so it need not be readable."""

ANY_FLAGS: Final = DIRECTORY_FLAGS & ~O_DIRECTORY | getattr(os, "O_NONBLOCK", 0)
"""For anything but a symlink; does not block on a FIFO without a writer."""


def anchored(descriptor: int, place: str) -> str:
    """A path to the open directory that stays valid, also for child processes, even if its parents
    are renamed or swapped for symlinks. Without `/proc`, `place`, its path when it was opened.
    """
    path = f"/proc/{os.getpid()}/fd/{descriptor}"
    return path if RELATIVE and os.path.isdir(path) else place


def close(descriptor: int) -> None:
    """Close a directory. An error is ignored: it is closed anyway, and nothing was written."""
    try:  # noqa: SIM105 - called for every directory, and `suppress` is slower
        _close(descriptor)
    except OSError:
        pass


__all__ = [
    "ANY_FLAGS", "DIRECTORY_FLAGS", "O_DIRECTORY", "O_LOOK", "O_NOFOLLOW", "PASSING_FLAGS",
    "PLAIN_FLAGS", "RELATIVE", "ROOT_FLAGS", "UNWAITED_FLAGS", "close", "dup", "fstat", "link",
    "listdir", "mkdir", "open", "open_file", "readlink", "rename", "rmdir", "scandir", "stat",
    "unlink",
]  # fmt: skip
