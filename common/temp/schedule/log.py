"""The log of the scheduled cleans of a root, which is their lock as well.

Beside it, a file says when the clean at work began. It is still there if that was killed.
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
"""How long it may become before it is renamed to `schedule.log.1`, replacing that."""

_BEGUN: Final = "schedule.begun"
_MARK: Final = rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z) ([0-9]{1,9})\n"
"""When a clean began, and how long the log was then."""


class Turn(NamedTuple):
    """A scheduled clean's turn at a root: the log, with its descriptor if it could be opened.

    `is_mine` says that no other scheduled clean is active there, and `killed` when the one before
    began, if it was killed.
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
    """The turn at `root`, until the block or the process ends, of a clean that `began` then; "" if
    it does not clean.

    Without a root there is nothing to clean, and so no log. Raises `StorageError` or
    `Refused`.
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
        raise StorageError(0, str(error)) from error  # the clean is done, but without a log
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
        _put_aside(path)  # where an open file cannot be renamed


def _begin(store: int, log: int, began: str) -> str:
    """When the clean before this one began, if it was killed, else ""; notes when this one began.

    A clean that could still log how it ended was not killed.
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
    """Let the next run begin a new log.

    A run that exits at this very moment adds its line to the renamed one.
    """
    with contextlib.suppress(OSError), opened(path.parent) as store:
        place = at.anchored(store, str(path.parent))
        os.replace(f"{place}/{path.name}", f"{place}/{OLDER}")
