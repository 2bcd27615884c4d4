"""`temp-restore`: lists what was archived or set aside, and puts it back."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from ..core.entry import Problem
from ..core.layout import RUNS_ARCHIVE, STORE
from ..core.units import spell_size
from ..errors import TempError
from ..report.archive import archive_text, undo_text
from ..report.text import instant, plain
from ..store.archive.belongs import place_of
from ..store.archive.restore import find_archived, finish_killed, restore
from ..store.archive.shelf import list_archive
from ..store.archive.undo import has_undoable, root_of_undo, undo_area
from ..store.project.place import homeless_roots, standing_project
from ..store.project.project import root_of, user_root
from ..store.root.guard import check_store
from ..store.root.loading import load
from ..store.root.settings import Settings
from .printing import print_problems


def list_archived() -> int:
    """Print what is in the project's archive, and what was set aside; the exit code.

    It is 1 if a root could not be looked at, or a manifest cannot be used.
    """
    settings = load(standing_project())
    (archive, *others), problems = _archives(settings)
    blocks = []
    code = print_problems(problems)
    for place in (archive, *others):
        rows: list[tuple[str, ...]] = []
        for archived in list_archive(place, root_of(settings.project)):
            manifest, when = archived.manifest, instant(archived.archived_at)
            if manifest is None:
                what = archived.problem or "it has no manifest"
                code = max(code, int(bool(archived.problem)))
                rows.append((archived.name, archived.format, "?", when, "?", what))
                continue
            how = archived.format if manifest.until is None else instant(manifest.until)
            was, why = str(manifest.root_from(place) / manifest.path), "; ".join(manifest.reasons)
            rows.append((archived.name, how, spell_size(manifest.size), when, was, why))
        is_undo = root_of_undo(place) is not None
        if place == archive or (rows and not is_undo):
            blocks.append(archive_text(str(place), rows))
        elif rows:
            blocks.append(undo_text(str(place), rows))
    print("\n\n".join(blocks))
    return code


def _archives(settings: Settings, name: str = "") -> tuple[list[Path], list[tuple[str, Problem]]]:
    """The directories that can be restored from: the archive, those of runs, and what was set aside
    of each root; and the roots that cannot be looked at, each with the problem.
    """
    found, problems = [settings.archive_path()], []
    roots = (
        *(root_of(settings.project), *settings.other_roots()),
        *(*homeless_roots(), user_root()),
    )
    for root in {os.path.realpath(root): root for root in reversed(roots)}.values():
        try:
            if has_undoable(root):
                found.insert(1, undo_area(root))
        except TempError as error:
            # What somebody planted in one root must not keep others from being restored.
            problems.append((root.name, Problem(STORE, str(error))))
    for base in _bases_of_runs(settings, name):
        runs = base / RUNS_ARCHIVE
        if not runs.is_dir() or os.path.realpath(runs) == os.path.realpath(found[0]):
            continue
        try:
            check_store(runs)
            found.insert(1, runs)
        except TempError as error:
            problems.append((base.name, Problem(RUNS_ARCHIVE, str(error))))
    return found, problems


def restorable(settings: Settings) -> list[str]:
    """What can be restored: the path of each in its root, or its name where that is not known or
    not the only one.
    """
    found = [
        archived
        for place in _archives(settings)[0]
        for archived in list_archive(place, root_of(settings.project))
    ]
    paths = Counter(archived.path for archived in found)
    return [one.path if one.path and paths[one.path] == 1 else one.name for one in found]


def _bases_of_runs(settings: Settings, name: str) -> set[Path]:
    """The directories that may have an archive of runs beside them: the project, its `roots`, and
    that of the path `name`, since a pipeline needs no settings.
    """
    bases = {settings.project, *settings.other_roots()}
    archive = Path(os.path.abspath(name)).parent
    return bases | {archive.parent} if archive.name == RUNS_ARCHIVE else bases


def restore_archived(name: str, *, dry_run: bool = False) -> int:
    """Put back what is called `name` in the project's archive, or was set aside; the exit code.

    A root that cannot be looked at is a problem, but no failure: `name` is what was asked for.
    """
    settings = load(standing_project())
    archives, problems = _archives(settings, name)
    print_problems(problems)
    archive, archived = find_archived(archives, name, settings.project)
    place = place_of(archive, archived, settings.project)
    if dry_run:
        print(f"would restore {plain(name)} as {plain(str(place.full))}")
        return 0
    finish_killed(archive, place.root)
    # Again: a restore that was killed may have been almost finished.
    archive, archived = find_archived(archives, name, settings.project)
    place = place_of(archive, archived, settings.project)
    is_pinned = restore(archive, archived, place)
    pinned = ", pinned, since it would go at any age there" if is_pinned else ""
    print(f"restored {plain(archived.name)} as {plain(str(place.full))}{pinned}")
    return 0
