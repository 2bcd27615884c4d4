"""`temp-restore`: lists entries that were archived or set aside, and restores them."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from ..core.entry import Problem
from ..core.layouts import RUNS_ARCHIVE, STORE
from ..core.units import spell_size
from ..errors import StorageError, TempError
from ..report.archive import archive_text, undo_text
from ..report.text import instant, plain
from ..store.archive.archives import archive_beside, archive_of
from ..store.archive.restore import Holder, find_archived, finish_killed, restore
from ..store.project.place import homeless_roots, standing_project
from ..store.project.project import root_of, user_root
from ..store.settings.loading import load
from ..store.settings.settings import Settings
from ..store.shelf.belongs import Place, place_of
from ..store.shelf.listing import Archived
from ..store.shelf.undo import UndoArea, has_undoable
from .printing import print_problems, screen


def list_archived() -> int:
    """Print what is in the project's archive and what was set aside; return the exit code.

    It is 1 if a root cannot be read, or a manifest cannot be used.
    """
    settings = load(standing_project())
    holders, problems = _holders(settings)
    blocks = []
    code = print_problems(problems)
    for holder in holders:
        rows: list[tuple[str, ...]] = []
        try:
            listed = holder.listed(root_of(settings.project))
        except StorageError as error:
            code = max(
                code, print_problems([(settings.project.name, Problem("archive", str(error)))])
            )
            continue
        for archived in listed:
            manifest, when = archived.manifest, instant(archived.archived_at)
            if manifest is None:
                what = archived.problem or "it has no manifest"
                code = max(code, int(bool(archived.problem)))
                rows.append((archived.name, archived.format, "?", when, "?", what))
                continue
            how = archived.format if manifest.until is None else instant(manifest.until)
            was, why = f"{archived.root}/{manifest.path}", "; ".join(manifest.reasons)
            rows.append((archived.name, how, spell_size(manifest.size), when, was, why))
        if rows or holder is holders[0]:
            text = undo_text if isinstance(holder, UndoArea) else archive_text
            blocks.append(text(holder.location, rows, screen()))
    if blocks:
        print("\n\n".join(blocks))
    return code


def _holders(settings: Settings, name: str = "") -> tuple[list[Holder], list[tuple[str, Problem]]]:
    """Return where entries can be restored from (the archive, those of runs, and each root's undo
    area), and each unreadable root with its problem.
    """
    archive, project = archive_of(settings), root_of(settings.project)
    found: list[Holder] = [archive]
    problems = []
    roots = (project, *settings.other_roots(), *homeless_roots(), user_root())
    for root in {os.path.realpath(root): root for root in reversed(roots)}.values():
        try:
            if has_undoable(root):
                found.insert(1, UndoArea(root))
        except TempError as error:
            # A manipulated root must not prevent restoring from the others.
            problems.append((root.name, Problem(STORE, str(error))))
    for base in _bases_of_runs(settings, name):
        beside = archive_beside(base)
        try:
            if not archive.is_at(beside.location) and beside.listed(project):
                found.insert(1, beside)
        except TempError as error:
            problems.append((base.name, Problem(RUNS_ARCHIVE, str(error))))
    return found, problems


def restorable(settings: Settings) -> list[str]:
    """Return what can be restored without network access: the path of each in its root, or its name
    if the path is unknown or not unique.
    """
    found = [
        archived
        for holder in _holders(settings)[0]
        if isinstance(holder, UndoArea) or holder.is_near
        for archived in holder.listed(root_of(settings.project))
    ]
    paths = Counter(archived.path for archived in found)
    return [one.path if one.path and paths[one.path] == 1 else one.name for one in found]


def _bases_of_runs(settings: Settings, name: str) -> set[Path]:
    """Return those of these directories that hold an archive of runs: the project, its `roots`, and
    the one of the path `name`, since a pipeline needs no settings.
    """
    bases = {settings.project, *settings.other_roots()}
    archive = Path(os.path.abspath(name)).parent
    bases |= {archive.parent} if archive.name == RUNS_ARCHIVE else set()
    return {base for base in bases if (base / RUNS_ARCHIVE).is_dir()}


def restore_archived(name: str, *, dry_run: bool = False) -> int:
    """Restore `name` from the project's archive or from what was set aside; return the exit code.

    An unreadable root is a problem but not a failure: only `name` was requested.
    """
    settings = load(standing_project())
    holders, problems = _holders(settings, name)
    print_problems(problems)
    holder, archived = find_archived(holders, name, settings.project)
    place = _place_of(holder, archived, settings.project)
    if dry_run:
        print(f"would restore {plain(name)} as {plain(str(place.full))}")
        return 0
    finish_killed(holder, place.root)
    # Again: a restore that was killed may have been almost finished.
    holder, archived = find_archived(holders, name, settings.project)
    place = _place_of(holder, archived, settings.project)
    is_pinned = restore(holder, archived, place)
    pinned = ", pinned, since it would go at any age there" if is_pinned else ""
    print(f"restored {plain(archived.name)} as {plain(str(place.full))}{pinned}")
    return 0


def _place_of(holder: Holder, archived: Archived, project: Path) -> Place:
    """Return where it belongs. Raises `Refused` if that is not a place for an entry."""
    return place_of(archived, project, holder.root if isinstance(holder, UndoArea) else None)
