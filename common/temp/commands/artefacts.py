"""`clean`: removes build artefacts and scratch, never what git tracks."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..core.entry import Entry
from ..core.links import Freeing
from ..core.plan import Plan
from ..core.policy import Policy
from ..core.reasons import Reason, Verdict
from ..core.units import spell_size
from ..report.text import counted, plain
from ..store.artefacts.artefacts import (
    TAKES_UNSURE,
    Artefact,
    check_patterns,
    drop_empty_root,
    find_artefacts,
    measure_artefact,
    opened_project,
    remove_artefact,
    why_kept_by_now,
)
from ..store.project.place import homeless_projects
from ..store.project.project import OLD_ROOT_NAME
from ..store.project.tracked import Tracked
from ..store.system.at_work import AtWork
from ..store.trees.removed import Removed
from .carrying import Lines, Manner, carry_out
from .clean_arguments import CleanArguments, age_of
from .drafts import draft_all
from .places import DRY_RUN_OVERRIDE, Place, find_places, is_dry_run
from .printing import complain
from .unconfigured import check_policy


def clean_artefacts(
    *,
    temp_age: str | None,
    temp_age_hours: str | None,
    dry_run: bool,
    include_unsure: bool = False,
) -> int:
    """Clean build artefacts and scratch of the project; the exit code."""
    age = age_of(temp_age, temp_age_hours, "--temp-age")
    limits = None if age is None else Policy(max_age=age)
    now = time.time()
    places = find_places(all_projects=False)
    check_policy(places, limits, CleanArguments())
    project, settings = places[0].settings.project, places[0].settings
    old = project / OLD_ROOT_NAME
    if old.is_dir() or old.is_symlink():
        places.insert(1, Place(f"{project.name}/{OLD_ROOT_NAME}", old, settings))
    dry_run = dry_run or is_dry_run(places, False, DRY_RUN_OVERRIDE)
    if project in homeless_projects():
        # Nothing is built there, and git is not asked what it tracks in the working directory.
        own = [place for place in places if place.settings.project == project or place.is_extra]
        drafts = draft_all(own, limits, CleanArguments(), now, sizes=dry_run)
        return carry_out(drafts, Lines(), Manner("clean", dry_run))
    with opened_project(project) as top:
        drafts = draft_all(places, limits, CleanArguments(), now, sizes=dry_run)
        # Asked last, right before deleting begins.
        tracked = Tracked(project)
        check_patterns(project, settings.artefacts, tracked)
        artefacts = find_artefacts(
            project,
            settings.artefacts,
            tracked,
            roots=settings.other_roots(),
            archive=settings.archive_path(),
            include_unsure=include_unsure,
        )
        drafts = [
            draft._replace(plan=_without_tracked(draft.plan, project, tracked, include_unsure))
            for draft in drafts
        ]
        code = _clean_artefacts(
            top,
            project,
            artefacts,
            lambda path: why_kept_by_now(project, path, tracked, include_unsure=include_unsure),
            dry_run=dry_run,
        )
    swept = carry_out(drafts, Lines(silent=bool(artefacts)), Manner("clean", dry_run))
    if not dry_run:
        for draft in drafts:
            if draft.place.root == old:
                drop_empty_root(old, {step.entry.category for step in draft.plan.steps})
    return max(code, swept)


def _clean_artefacts(
    top: int,
    project: Path,
    artefacts: Sequence[Artefact],
    why_kept: Callable[[str], str],
    *,
    dry_run: bool,
) -> int:
    verb = "would delete" if dry_run else "deleted"
    code = count = freed = 0
    users, freeing = AtWork(project), Freeing()
    # An egg-info goes last: it says what made the build beside it, which a next clean has to know.
    for artefact in sorted(artefacts, key=lambda one: one.path.endswith(".egg-info")):
        path = plain(artefact.path)
        # Checked again: somebody may have started to work here while the others were removed. Who
        # is at work is asked last, for the other takes long where there is much.
        kept = artefact.kept or why_kept(artefact.path)
        if kept := kept or users.inside(artefact.path):
            print(f"kept {path}: {plain(kept)}")
            continue
        try:
            if dry_run:
                removed = Removed(freeing.add(measure_artefact(top, artefact.path)))
            else:
                removed = remove_artefact(top, artefact.path)
        except KeyboardInterrupt:
            print(
                f"interrupted: {counted(count, 'artefact', 'artefacts')} deleted, "
                f"{spell_size(freed)} freed; the next clean finishes {path}",
                file=sys.stderr,
            )
            raise
        freed += removed.freed_bytes
        if removed.failures:
            where, what = removed.failures[0]
            inside = f" {plain(where)}:" if where else ""
            complain(f"failed {path}:{inside} {plain(what)}")
            code = 1
            continue
        count += 1
        size = spell_size(removed.freed_bytes)
        print(f"{verb} {path}  {size}  (artefact: {plain(artefact.pattern)})")
    if artefacts:
        what = counted(count, "artefact", "artefacts")
        print(f"{plain(project.name)}: {verb} {what}, {spell_size(freed)}")
    return code


def _without_tracked(plan: Plan, project: Path, tracked: Tracked, include_unsure: bool) -> Plan:
    """`plan` without the entries that hold something that git tracks, or may track."""
    unsure = f"{tracked.failed}; {TAKES_UNSURE}" if tracked.failed and not include_unsure else ""
    steps = []
    kept = list(plan.kept)
    for step in plan.steps:
        why = tracked_in(step.entry, plan.root, project, tracked) or unsure
        if why:
            kept.append(kept_as_tracked(step.entry, why))
        else:
            steps.append(step)
    return plan._replace(steps=tuple(steps), kept=tuple(kept))


def tracked_in(entry: Entry, root: str, project: Path, tracked: Tracked) -> str:
    """One line on what git tracks in `entry`; "" if it tracks nothing there."""
    # By its real path: a root that is a link may lead to another place in the work tree.
    below = os.path.relpath(os.path.realpath(root), os.path.realpath(project))
    inside = tracked.inside(f"{below}/{entry.path}")
    return "" if inside is None else f"git tracks {inside}"


def kept_as_tracked(entry: Entry, why: str) -> Verdict:
    """The decision to keep an entry for that reason."""
    return Verdict(entry, True, (Reason("tracked", "stays", why),))
