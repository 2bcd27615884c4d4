"""Reading untrusted files without blocking and in bounded memory.

Only regular files are read, up to a maximum size.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection
from typing import Any, Final

from ...core.fields import Unreadable, check_depth, parsed
from ...core.units import spell_size
from ...errors import reason_of
from . import at
from .at import PLAIN_FLAGS, UNWAITED_FLAGS

SMALL: Final = 1 << 20
"""The maximum size, in bytes, of a small file of this program."""

_DEEPEST_TOML: Final = 100
_KINDS: Final = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_file(
    path: str | os.PathLike[str],
    most: int = SMALL,
    *,
    dir_fd: int | None = None,
    follow: bool = False,
    owners: Collection[int] = (),
) -> bytes:
    """The content of the regular file at `path`, relative to the open directory `dir_fd` if given.

    A symlink is followed only with `follow`. The file must belong to one of the `owners`, if there
    are any. Raises `FileNotFoundError` or `NotADirectoryError` if it does not exist, and
    `Unreadable` for any other reason.
    """
    path = os.fspath(path)
    try:
        # Before opening: opening a pipe or a device can have side effects.
        _check(at.stat(path, dir_fd=dir_fd, follow_symlinks=follow), most, owners)
        if dir_fd is not None:
            descriptor = at.open_file(path, dir_fd=dir_fd)
        else:
            flags = os.O_RDONLY | (UNWAITED_FLAGS if follow else PLAIN_FLAGS)
            descriptor = os.open(path, flags)
        with open(descriptor, "rb") as file:
            _check(os.fstat(descriptor), most, owners)
            data = file.read(most + 1)
        if len(data) > most:
            raise OSError(0, _too_large(most))
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise Unreadable(f"cannot be read: {reason_of(error)}", error) from error
    return data


def _check(status: os.stat_result, most: int, owners: Collection[int]) -> None:
    mode = status.st_mode
    for number, is_one in ((errno.EISDIR, stat.S_ISDIR), (errno.ELOOP, stat.S_ISLNK)):
        if is_one(mode):
            raise OSError(number, os.strerror(number))
    if not stat.S_ISREG(mode):
        kind = next((name for is_one, name in _KINDS if is_one(mode)), "something else")
        raise OSError(0, f"it is {kind}, not a regular file; move it away")
    if status.st_size > most:
        raise OSError(0, _too_large(most))
    if owners and status.st_uid not in owners:
        raise Unreadable(f"it belongs to another user ({status.st_uid})")


def _too_large(most: int) -> str:
    return f"it is larger than {spell_size(most)}, which no such file is; move it away"


def read_json(
    path: str | os.PathLike[str],
    most: int = SMALL,
    *,
    dir_fd: int | None = None,
    follow: bool = False,
    owners: Collection[int] = (),
) -> object:
    """The value in a JSON file; arguments and errors as for `read_file`."""
    return parsed(read_file(path, most, dir_fd=dir_fd, follow=follow, owners=owners))


def parse_toml(data: bytes) -> dict[str, Any]:
    """The table parsed from the TOML in `data`. Raises `Unreadable`."""
    import tomllib

    try:
        said = tomllib.loads(data.decode())
    except RecursionError:
        raise Unreadable("not valid TOML: it is nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"not valid TOML: {error}") from None
    check_depth(said, _DEEPEST_TOML, "TOML")
    return said
