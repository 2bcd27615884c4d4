"""The undo area: a shelf in the root's own store, which entries enter and leave only by a rename.

The manifest of each says for how long it can be restored; the first clean of the root after that
deletes it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.entry import Entry, Problem, Undoable
from ...core.layouts import STORE, UNDO
from ...core.policy import Policy
from ...core.reasons import Reason
from ...core.retention import undo_over, undoable_to_forget
from ..project.project import check_root
from ..root.guard import check_store
from ..system import at
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
        """Move it to its place by one rename. Raises `Refused` or `OSError`."""
        from .putting import move

        if not move(self.path, archived, place):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def has_undoable(root: Path) -> bool:
    """Whether entries of `root` may be set aside. Raises `Refused` or `StorageError`."""
    if not check_root(root):
        return False
    check_store(root)
    return undo_area(root).is_dir()


def undoable(root: Path) -> tuple[Undoable, ...]:
    """The entries set aside from `root`, oldest first. Raises `StorageError` or `Refused`."""
    if not has_undoable(root):
        return ()
    area = undo_area(root)
    found = []
    top = opened(area)
    try:
        for archived in list_shelf(area, root):
            measured = measured_at(top, archived.data) or Measured()
            until = None if archived.manifest is None else archived.manifest.until
            found.append(
                Undoable(archived.name, measured.size, until, measured.links, measured.inodes)
            )
    finally:
        at.close(top)
    return tuple(found)


def unusable(root: Path) -> Iterator[Problem]:
    """What was set aside but cannot be restored or deleted, since its manifest is unusable."""
    for archived in list_shelf(undo_area(root), root):
        if archived.problem:
            yield Problem(
                f"{STORE}/{UNDO}/{archived.data}",
                f"{archived.problem}; it stays: look at it, and move it by hand",
            )


def is_over(root: Path, name: str, now: float) -> bool:
    """Whether the time to restore that entry of `root` is over."""
    manifest, _ = read_manifest(undo_area(root), name)
    if manifest is None:
        return False
    return undo_over(manifest.archived_at, manifest.undo_for, now) is not None


def to_forget(
    root: Path,
    policy: Policy,
    now: float,
    *,
    free: int | None,
    capacity: int | None = None,
    anyway: int = 0,
) -> tuple[tuple[Entry, Reason], ...]:
    """What was set aside from `root` and is due for deletion, measured, as entries whose `path` is
    their place in the undo area; see `undoable_to_forget`. Raises `StorageError` or `Refused`.
    """

    def is_wanted(one: Archived) -> bool:
        manifest = one.manifest
        if manifest is None or not one.came_from(root):
            return False
        return free is not None or undo_over(one.archived_at, manifest.undo_for, now) is not None

    held = measured_from(undo_area(root), root, is_wanted)
    return undoable_to_forget(
        [(entry, one.manifest.undo_for) for one, entry in held if one.manifest is not None],
        policy,
        now,
        free=free,
        capacity=capacity,
        anyway=anyway,
    )
