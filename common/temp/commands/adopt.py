"""`temp-adopt`: takes over the older helper's entries in `.tmp`, and lists `.temp`."""

from __future__ import annotations

import time
from pathlib import Path

from ..core.adoption import Moved, Survey
from ..core.layouts import UNCATEGORIZED
from ..errors import Refused, StorageError
from ..report.adoption import adoption_text, moved_line, old_root_text
from ..report.text import plain
from ..store.project.project import OLD_ROOT_NAME
from ..store.scanning.scan import scan
from ..store.sweep import adoption
from .places import DRY_RUN_OVERRIDE, Place, find_places, is_dry_run
from .printing import print_problems
from .tracked import kept_as_tracked, tracked_in


def adopt(*, dry_run: bool, all_projects: bool) -> int:
    """Move the older helper's entries to `uncategorized`, list `.temp`; return the exit code."""
    now = time.time()
    places = [
        place
        for place in find_places(all_projects)
        if not (place.abandoned_only or place.is_configured or place.is_elsewhere)
    ]
    dry_run = dry_run or is_dry_run(places, False, DRY_RUN_OVERRIDE, "moved")
    code = empty = 0
    for place in places:
        try:
            nothing, failed = _adopt(place, now, dry_run)
            empty += nothing
        except (StorageError, Refused) as error:
            failed = error.exit_code
            print_problems([(place.title, place.problem(error))])
        code = max(code, failed)
    if empty:
        who = plain(places[0].title) if len(places) == 1 else f"{empty} projects"
        print(f"{who}: nothing to adopt")
    return code


def _adopt(place: Place, now: float, dry_run: bool) -> tuple[bool, int]:
    """Adopt the entries of one root; return whether nothing was reported, and the exit code."""
    exclude = place.settings.policy.of(UNCATEGORIZED).exclude
    survey = adoption.survey(place.root, exclude, now)
    if survey.moves:
        survey = _moving_nothing_tracked(survey, place.settings.project)
    problems = [(place.title, problem) for problem in survey.problems]
    nothing = not (survey.moves or survey.kept or problems)
    failed = False
    if not nothing:
        moved: tuple[Moved, ...] | None = None
        if not dry_run:
            moved = adoption.adopt(survey, lambda one: print(moved_line(one), flush=True))
            failed = any(one.status == "failed" for one in moved)
        print(adoption_text(place.title, survey, moved))
    old = place.root.with_name(OLD_ROOT_NAME)
    title = f"{place.title}/{OLD_ROOT_NAME}"
    if old.is_dir() or old.is_symlink():
        nothing = False
        found = scan(old, now)
        problems += [(title, problem) for problem in found.problems]
        print(old_root_text(title, found, now))
    return nothing, max(int(failed), print_problems(problems))


def _moving_nothing_tracked(survey: Survey, project: Path) -> Survey:
    """Return `survey` without moves of tracked files, which git would see as deletions."""
    from ..store.project.tracked import Tracked

    tracked = Tracked(project)
    why = [(one, tracked_in(one, survey.root, project, tracked)) for one in survey.moves]
    kept = tuple(kept_as_tracked(one, said) for one, said in why if said)
    moves = tuple(one for one, said in why if not said)
    return survey._replace(moves=moves, kept=(*survey.kept, *kept))
