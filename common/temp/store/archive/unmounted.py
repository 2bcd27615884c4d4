"""Notices that the disk of an archive is not mounted: a later mount would hide what is archived."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from ...core.fields import Unreadable
from ...core.layouts import ARCHIVE_DISK, STORE
from ...errors import StorageError
from ..claiming.claim import NotDisposed
from ..project.store_parts import make_parts
from ..shelf.manifest import MANIFEST
from ..system.opening import opened_in
from ..system.own_files import replace_own
from ..system.reading import read_file


def check_mounted(archive: Path, root: Path, *, shares_disk: bool) -> None:
    """Raise `NotDisposed` if `root` used this archive on another disk, and the path has nothing
    archived and `shares_disk` with the root now.
    """
    if shares_disk and _was_elsewhere(archive, root) and not _holds_any(archive):
        raise NotDisposed(
            f"cannot be archived: the disk of {archive} is not mounted; mount it, or if the "
            f"archive is to be on this disk now: rm {root / STORE / ARCHIVE_DISK}"
        )


def note_disk(archive: Path, root: Path) -> None:
    """Record in the store of `root` that `archive` is on another disk, if the store has space."""
    if _was_elsewhere(archive, root):
        return
    with contextlib.suppress(OSError):
        make_parts(root)
        with opened_in(root, STORE) as store:
            place = str(root / STORE)
            replace_own(ARCHIVE_DISK, "", _line(archive), dir_fd=store, place=place)


def _was_elsewhere(archive: Path, root: Path) -> bool:
    try:
        return read_file(root / STORE / ARCHIVE_DISK) == _line(archive).encode()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except Unreadable as problem:
        raise StorageError(0, f"{root / STORE / ARCHIVE_DISK} {problem}") from problem


def _line(archive: Path) -> str:
    return f"{json.dumps(str(archive))}\n"


def _holds_any(archive: Path) -> bool:
    try:
        return any(name.endswith(MANIFEST) for name in os.listdir(archive))
    except FileNotFoundError:
        return False
