"""The log of the scheduled cleans of a root, which is their lock as well."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ..core.layouts import STORE
from ..errors import Refused, StorageError
from ..store.project.project import check_root
from ..store.root.guard import check_store
from ..store.root.making import make_root
from ..store.system import at
from ..store.system.locks import lock_file
from ..store.system.opening import opened, opened_in
from ..store.system.ownfiles import open_own

LOG: Final = f"{STORE}/schedule.log"
MOST_BYTES: Final = 32 * 1024
"""How long it may become before it is renamed to `schedule.log.1`, replacing that."""


class Turn(NamedTuple):
    """A scheduled clean's turn at a root: the log, with its descriptor if it could be opened.

    `is_mine` says that no other scheduled clean is active there.
    """

    path: Path
    descriptor: int | None
    is_mine: bool

    def add(self, line: str) -> None:
        """Append `line`. Raises `OSError` if it cannot be written."""
        if self.descriptor is None:
            return
        os.write(self.descriptor, f"{line}\n".encode(errors="backslashreplace"))


@contextlib.contextmanager
def turn(root: Path) -> Iterator[Turn]:
    """The turn at `root`, until the block or the process ends.

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
    except Refused as error:
        raise StorageError(0, str(error)) from error  # the clean is done, but without a log
    except OSError as error:
        raise StorageError.of(f"cannot open {path}", error) from error
    try:
        own = Turn(path, descriptor, lock_file(descriptor))
        yield own
        is_long = own.is_mine and os.fstat(descriptor).st_size > MOST_BYTES
        if is_long and at.RELATIVE:
            _put_aside(path)
    finally:
        os.close(descriptor)
    if is_long and not at.RELATIVE:
        _put_aside(path)  # where an open file cannot be renamed


def _put_aside(path: Path) -> None:
    """Let the next run begin a new log.

    A run that exits at this very moment adds its line to the renamed one.
    """
    with contextlib.suppress(OSError), opened(path.parent) as store:
        place = at.anchored(store, str(path.parent))
        os.replace(f"{place}/{path.name}", f"{place}/{path.name}.1")
