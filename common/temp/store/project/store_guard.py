"""Checks that a root's store has not been replaced by a symlink, a mount or anything else."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Final

from ...core.layouts import STORE, STORE_PARTS, UNDO
from ...errors import Refused, StorageError
from ..system import at
from ..system.letter_case import takes_any_case
from ..system.mounts import check_store_unmounted, mounts_below
from .project import check_root

_SECONDS: Final = 0.5
"""How long a clean may take to put back an entry that it moved aside and then found in use."""


def check_store(root: Path) -> None:
    """Raise `Refused` if `root` or its store may have been planted: it is behind a symlink, or
    another filesystem is mounted over it; see `check_root`.

    A sweep would delete the files that a planted store leads to.
    """
    if not check_root(root):
        return
    if (root.parent.name, root.name) == (STORE, UNDO):
        check_store(root.parent.parent)
    try:
        device = os.stat(root).st_dev
    except FileNotFoundError:
        return  # it was removed just now
    for part in (STORE, *(f"{STORE}/{name}" for name in STORE_PARTS)):
        path = os.path.join(root, part)
        try:
            status = at.stat(path, follow_symlinks=False)
        except OSError:
            if part == STORE:
                return  # it does not exist yet, or cannot be opened
            continue
        if not stat.S_ISDIR(status.st_mode):
            raise Refused(f"{path} is not a directory made by this program; remove it")
        if status.st_dev != device:
            check_store_unmounted(str(root), (part,))
    check_store_unmounted(str(root), mounts_below(str(root)))


class Unchanged:
    """Detects, with a single `stat`, whether a directory of a store may have been replaced."""

    def __init__(self, root: Path | str, directory: str) -> None:
        self._root = Path(root)
        self._directory = directory
        self._known: tuple[int, int] | None = (0, 0)

    def check(self) -> None:
        """Run `check_store` again if the directory was replaced, perhaps by a mount over it."""
        try:
            status = os.stat(self._directory)
            found: tuple[int, int] | None = (status.st_dev, status.st_ino)
        except OSError:
            found = None
        if found != self._known:
            check_store(self._root)
            self._known = found


def folds_case(root: Path) -> bool:
    """Whether the filesystem of `root` ignores case in names.

    Some filesystems list names in a different case from the one they were created with.
    """
    return takes_any_case(root, STORE if os.path.lexists(root / STORE) else "")


def wait_for(entry: Path) -> None:
    """Wait until the recorded `entry` is in its place. Raises `StorageError` if it is gone.

    A clean that moves it aside after it was recorded sees the record, and puts it back.
    """
    end = time.monotonic() + _SECONDS
    while is_gone(str(entry)):
        if time.monotonic() > end:
            raise StorageError(0, f"{entry} is gone; make it again")
        time.sleep(0.01)


def is_gone(path: str, *, dir_fd: int | None = None) -> bool:
    """Whether nothing exists at `path`, relative to `dir_fd` if given; false if unknown."""
    try:
        at.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
