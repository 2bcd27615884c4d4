"""The log of the scheduled cleans of a root, which is also their lock.

Another file says when the current clean began. A clean that is killed leaves it behind.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ..core.fields import Unreadable
from ..core.layouts import STORE
from ..errors import Refused, StorageError
from ..store.project.project import check_root
from ..store.project.store_guard import check_store
from ..store.root.making import make_root
from ..store.root.schedule_log import LOG, OLDER
from ..store.system import at
from ..store.system.locks import lock_file
from ..store.system.opening import opened, opened_in
from ..store.system.own_files import open_own, write_new
from ..store.system.reading import read_file

MOST_BYTES: Final = 32 * 1024
"""The size in bytes from which the log is renamed to `schedule.log.1`, replacing that file."""

_BEGUN: Final = "schedule.begun"
_MARK: Final = rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z) ([0-9]{1,9})\n"
"""When a clean began, and the size of the log at that time."""


class Turn(NamedTuple):
    """The turn of a scheduled clean in a root: the log, and its descriptor if it could be opened.

    `is_mine` is false if another scheduled clean is active there. If the previous clean was killed,
    `killed` is when that clean began.
    """

    path: Path
    descriptor: int | None
    is_mine: bool
    killed: str = ""

    def add(self, line: str) -> None:
        """Append `line`. Raises `OSError` if it cannot be written."""
        if self.descriptor is None:
            return
        os.write(self.descriptor, f"{line}\n".encode(errors="backslashreplace"))


@contextlib.contextmanager
def turn(root: Path, began: str) -> Iterator[Turn]:
    """The turn in `root`, until the block or the process ends.

    `began` is when the clean began; "" if the caller does not clean. Without a root, there is
    nothing to clean and no log. Raises `StorageError` or `Refused`.
    """
    path = root / LOG
    if not check_root(root):
        yield Turn(path, None, True)
        return
    make_root(str(root))  # a root made by a plain `mkdir` has no store yet
    check_store(root)
    try:
        with opened_in(root, STORE) as store:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
            descriptor = open_own(path.name, flags, dir_fd=store, place=str(path.parent))
            is_mine = lock_file(descriptor)
            killed = _begin(store, descriptor, began) if is_mine else ""
    except Refused as error:
        raise StorageError(0, str(error)) from error  # the clean runs, but without a log
    except OSError as error:
        raise StorageError.of(f"cannot open {path}", error) from error
    try:
        yield Turn(path, descriptor, is_mine, killed)
        if is_mine:
            with contextlib.suppress(OSError), opened_in(root, STORE) as store:
                at.unlink(_BEGUN, dir_fd=store)
        is_long = is_mine and os.fstat(descriptor).st_size > MOST_BYTES
        if is_long and at.RELATIVE:
            _put_aside(path)
    finally:
        os.close(descriptor)
    if is_long and not at.RELATIVE:
        _put_aside(path)  # on systems where an open file cannot be renamed


def _begin(store: int, log: int, began: str) -> str:
    """Note when this clean began. If the previous one was killed, returns when that began; else "".

    A clean that logged its end was not killed.
    """
    killed = ""
    size = os.fstat(log).st_size
    with contextlib.suppress(OSError, Unreadable):
        if mark := re.fullmatch(_MARK, read_file(_BEGUN, dir_fd=store)):
            os.lseek(log, int(mark[2]), os.SEEK_SET)
            if mark[1] + b" exit " not in os.read(log, 2 * MOST_BYTES):
                killed = mark[1].decode()
    with contextlib.suppress(OSError):
        at.unlink(_BEGUN, dir_fd=store)
    if began:
        with contextlib.suppress(OSError):
            write_new(_BEGUN, f"{began} {size}\n", dir_fd=store)
    return killed


def _put_aside(path: Path) -> None:
    """Rename the log, so that the next run begins a new one.

    A run that ends at this very moment adds its line to the renamed log.
    """
    with contextlib.suppress(OSError), opened(path.parent) as store:
        place = at.anchored(store, str(path.parent))
        os.replace(f"{place}/{path.name}", f"{place}/{OLDER}")
