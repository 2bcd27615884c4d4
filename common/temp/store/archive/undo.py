"""What can be undone: an archive in the root's own store, which takes entries by rename alone.

Each has a manifest as all that is archived has, which says for how long. Whatever sweeps the root
after that deletes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...core.entry import Entry, Problem, Undoable
from ...core.layout import STORE, UNDO
from ...core.retention import Policy, Reason, undo_over, undoable_to_forget
from ..project.project import check_root
from ..root.guard import check_store
from ..system import at
from ..trees.measured import Measured
from .shelf import list_archive, manifest_of, measured_at, measured_from, opened


def undo_area(root: Path) -> Path:
    """Where what was set aside of `root` lies, whether that exists or not."""
    return root / STORE / UNDO


def root_of_undo(place: Path) -> Path | None:
    """The root of which `place` holds what can be undone; `None` if it is an archive."""
    is_undo = (place.parent.name, place.name) == (STORE, UNDO)
    return place.parent.parent if is_undo else None


def has_undoable(root: Path) -> bool:
    """Whether anything may lie there. Raises `Refused` or `StorageError` as a scan does."""
    if not check_root(root):
        return False
    check_store(root)
    return undo_area(root).is_dir()


def undoable(root: Path) -> tuple[Undoable, ...]:
    """What was set aside of `root`, the oldest first. Raises `StorageError` or `Refused`."""
    if not has_undoable(root):
        return ()
    area = undo_area(root)
    found = []
    top = opened(area)
    try:
        for archived in list_archive(area, root):
            measured = measured_at(top, archived.data) or Measured()
            until = None if archived.manifest is None else archived.manifest.until
            found.append(Undoable(archived.name, measured.size, until, measured.shared))
    finally:
        at.close(top)
    return tuple(found)


def unusable(root: Path) -> Iterator[Problem]:
    """What nobody can put back by a command, nor forget: its manifest cannot be used."""
    for archived in list_archive(undo_area(root), root):
        if archived.problem:
            yield Problem(
                f"{STORE}/{UNDO}/{archived.data}",
                f"{archived.problem}; it stays: look at it, and move it by hand",
            )


def is_over(root: Path, name: str, now: float) -> bool:
    """Whether what was set aside of `root` under that name can be undone no longer."""
    said = manifest_of(undo_area(root), name)
    return said is not None and undo_over(said.archived_at, said.undo_for, now) is not None


def to_forget(
    root: Path,
    policy: Policy,
    now: float,
    *,
    free: int | None,
    capacity: int | None = None,
    anyway: int = 0,
) -> tuple[tuple[Entry, Reason], ...]:
    """What was set aside of `root` and goes for good, measured, as entries whose `path` is the
    place where it lies; see `undoable_to_forget`. Raises `StorageError` or `Refused`.
    """
    held = measured_from(
        undo_area(root),
        root,
        lambda said: (
            free is not None or undo_over(said.archived_at, said.undo_for, now) is not None
        ),
    )
    return undoable_to_forget(
        [(entry, said.undo_for) for said, entry in held],
        policy,
        now,
        free=free,
        capacity=capacity,
        anyway=anyway,
    )
