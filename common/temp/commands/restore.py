"""`temp-restore`: lists what is archived or can be undone, and restores it."""

from __future__ import annotations

import os
from pathlib import Path

from ..core.entry import Problem
from ..core.layout import STORE
from ..core.units import spell_size
from ..errors import TempError
from ..report.archive import archive_text, undo_text
from ..report.text import instant, plain
from ..store.archive.restore import find_archived, finish_killed, place_of, restore
from ..store.archive.shelf import list_archive
from ..store.archive.undo import has_undoable, undo_area
from ..store.project.place import homeless_roots, standing_project
from ..store.project.project import root_of, user_root
from ..store.root.settings import Settings, load
from .printing import print_problems


def list_archived() -> int:
    """Print what is in the project's archive, and what can be undone; the exit code."""
    settings = load(standing_project())
    archive, *undoable = _archives(settings)
    blocks = []
    code = 0
    for place in (archive, *undoable):
        rows: list[tuple[str, ...]] = []
        for archived in list_archive(place, root_of(settings.project)):
            said, when = archived.manifest, instant(archived.archived_at)
            if said is None:
                what = archived.problem or "it has no manifest"
                code = max(code, int(bool(archived.problem)))
                rows.append((archived.name, archived.format, "?", when, "?", what))
                continue
            how = archived.format if said.until is None else instant(said.until)
            was, why = str(said.root_from(place) / said.path), "; ".join(said.reasons)
            rows.append((archived.name, how, spell_size(said.size), when, was, why))
        if place == archive:
            blocks.append(archive_text(str(archive), rows))
        elif rows:
            blocks.append(undo_text(str(place), rows))
    print("\n\n".join(blocks))
    return code


def _archives(settings: Settings) -> list[Path]:
    """Where there may be something to restore: the archive, and the undo area of each root."""
    found = [settings.archive_path()]
    roots = (
        *(root_of(settings.project), *settings.other_roots()),
        *(*homeless_roots(), user_root()),
    )
    for root in {os.path.realpath(root): root for root in reversed(roots)}.values():
        try:
            if has_undoable(root):
                found.insert(1, undo_area(root))
        except TempError as error:
            # Something planted in one root must not keep anybody from restoring from the others.
            print_problems([(root.name, Problem(STORE, str(error)))])
    return found


def restore_archived(name: str, *, dry_run: bool = False) -> int:
    """Restore `name` from the project's archive or from what can be undone; the exit code."""
    settings = load(standing_project())
    archives = _archives(settings)
    archive, archived = find_archived(archives, name, settings.project)
    place = place_of(archive, archived, settings.project)
    if dry_run:
        print(f"would restore {plain(name)} as {plain(str(place.full))}")
        return 0
    finish_killed(archive, place.root)
    # Looked up again: a killed restore may have been almost finished.
    archive, archived = find_archived(archives, name, settings.project)
    place = place_of(archive, archived, settings.project)
    is_pinned = restore(archive, archived, place)
    pinned = ", pinned, since it would go at any age there" if is_pinned else ""
    print(f"restored {plain(archived.name)} as {plain(str(place.full))}{pinned}")
    return 0
