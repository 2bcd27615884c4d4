"""The undo area: a shelf in the root's own store, which entries enter and leave only by a rename.

The manifest of each entry says how long it can be restored; the first clean of the root after that
deletes it.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.entry import CLOCK_SKEW, Entry, Problem, Undoable
from ...core.layouts import STORE, UNDO
from ...core.policy import Policy
from ...core.reasons import Reason
from ...core.retention import undo_over, undoable_to_forget
from ..project.project import check_root
from ..project.store_guard import check_store
from ..system import at
from ..system.opening import opened_in
from ..trees.measured import Measured
from .listing import Archived, list_shelf, measured_at, measured_from, opened
from .manifest import read_manifest
from .shelf import Shelf

if TYPE_CHECKING:
    from .belongs import Place


def undo_area(root: Path) -> Path:
    """The undo area of `root`, whether it exists or not."""
    return root / STORE / UNDO


class UndoArea(Shelf):
    """The undo area of `root`."""

    def __init__(self, root: Path) -> None:
        super().__init__(undo_area(root))
        self.root = root

    def move(self, archived: Archived, place: Place) -> None:
        """Move `archived` to `place` by one rename. Raises `Refused` or `OSError`."""
        from .putting import move

        if not move(self.path, archived, place):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def has_undoable(root: Path) -> bool:
    """Whether `root` has an undo area. Raises `Refused` or `StorageError`."""
    if not check_root(root):
        return False
    check_store(root)
    return undo_area(root).is_dir()


def undoable(root: Path) -> tuple[Undoable, ...]:
    """The entries set aside from `root`, oldest first. Raises `StorageError` or `Refused`."""
    if not has_undoable(root):
        return ()
    area, now = undo_area(root), time.time() + CLOCK_SKEW
    found = []
    top = opened(area)
    try:
        for archived in list_shelf(area, root):
            measured = measured_at(top, archived.data, now) or Measured()
            undo_for = None if archived.manifest is None else archived.manifest.undo_for
            until = None if undo_for is None else archived.last(measured) + undo_for
            found.append(
                Undoable(archived.name, measured.size, until, measured.links, measured.inodes)
            )
    finally:
        at.close(top)
    return tuple(found)


def unusable(root: Path) -> Iterator[Problem]:
    """A problem for each set-aside entry that cannot be restored or deleted, since its manifest is
    unusable.
    """
    for archived in list_shelf(undo_area(root), root):
        if archived.problem:
            yield Problem(
                f"{STORE}/{UNDO}/{archived.data}",
                f"{archived.problem}; it stays: look at it, and move it by hand",
            )


def is_over(root: Path, name: str, now: float) -> bool:
    """Whether the time to restore the set-aside entry `name` of `root` is over. The time starts
    again when something in the entry changes.
    """
    area = undo_area(root)
    manifest, _ = read_manifest(area, name)
    if manifest is None:
        return False
    with opened_in(area) as top:
        measured = measured_at(top, name, now + CLOCK_SKEW)
    if measured is None:
        return False
    since = max(manifest.archived_at, measured.changed_ns / 1e9)
    return undo_over(since, manifest.undo_for, now) is not None


def to_forget(
    root: Path,
    policy: Policy,
    now: float,
    *,
    free: int | None,
    capacity: int | None = None,
    anyway: int = 0,
) -> tuple[tuple[Entry, Reason], ...]:
    """The set-aside entries of `root` that are due for deletion, measured; their `path` is their
    place in the undo area. See `undoable_to_forget`. An entry that was changed since it was set
    aside is a user's work, which is not deleted for low disk space alone. Raises `StorageError` or
    `Refused`.
    """

    def is_wanted(one: Archived) -> bool:
        manifest = one.manifest
        if manifest is None or not one.came_from(root):
            return False
        return free is not None or undo_over(one.archived_at, manifest.undo_for, now) is not None

    held = [
        (entry, one.manifest.undo_for)
        for one, entry in measured_from(undo_area(root), root, is_wanted)
        if one.manifest is not None
        and (
            entry.changed <= one.archived_at
            or undo_over(entry.changed, one.manifest.undo_for, now) is not None
        )
    ]
    return undoable_to_forget(
        held,
        policy,
        now,
        free=free,
        capacity=capacity,
        anyway=anyway,
    )
