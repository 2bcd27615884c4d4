"""`clean`: the project's build artefacts and its scratch, never what git tracks."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..core.plan import Plan
from ..core.retention import Policy, Reason, Verdict
from ..core.units import HOUR, read_number, spell_size
from ..report.text import counted, plain
from ..store.artefacts import (
    Artefact,
    Tracked,
    drop_empty_root,
    find_artefacts,
    measure_artefact,
    remove_artefact,
)
from ..store.removal import Removed
from .arguments import CleanArguments
from .carrying import Lines, Manner, carry_out
from .drafts import draft_all
from .places import DRY_RUN_OVERRIDE, OLD_ROOT, Place, find_places, is_dry_run
from .printing import complain


def clean_artefacts(*, temp_age_hours: str | None, dry_run: bool) -> int:
    """Clean build artefacts and scratch of the project; the exit code."""
    limits = None
    if temp_age_hours is not None:
        hours = read_number(temp_age_hours, "--temp-age-hours", "number of hours")
        limits = Policy(max_age=hours * HOUR)
    now = time.time()
    places = find_places(all_projects=False)
    project, settings = places[0].settings.project, places[0].settings
    old = project / OLD_ROOT
    if old.is_dir() and not old.is_symlink():
        places.insert(1, Place(f"{project.name}/{OLD_ROOT}", old, settings))
    dry_run = dry_run or is_dry_run(places, False, DRY_RUN_OVERRIDE)
    drafts = draft_all(places, limits, CleanArguments(), now, sizes=dry_run)
    # Asked last, so that what git tracks is what it tracks when the deleting begins.
    tracked = Tracked(project)
    drafts = [
        draft._replace(plan=_without_tracked(draft.plan, project, tracked)) for draft in drafts
    ]
    artefacts = find_artefacts(
        project,
        settings.artefacts,
        tracked,
        roots=settings.other_roots(),
        archive=settings.archive_path(),
    )
    code = _clean_artefacts(project, artefacts, dry_run=dry_run)
    swept = carry_out(drafts, Lines(silent=bool(artefacts)), Manner("clean", dry_run))
    if not dry_run:
        for draft in drafts:
            if draft.place.root == old:
                drop_empty_root(old, {step.entry.category for step in draft.plan.steps})
    return max(code, swept)


def _clean_artefacts(project: Path, artefacts: Sequence[Artefact], *, dry_run: bool) -> int:
    verb = "would delete" if dry_run else "deleted"
    code = count = freed = 0
    for artefact in artefacts:
        path = plain(artefact.path)
        if artefact.kept:
            print(f"kept {path}: {plain(artefact.kept)}")
            continue
        try:
            if dry_run:
                removed = Removed(measure_artefact(project, artefact.path))
            else:
                removed = remove_artefact(project, artefact.path)
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
            complain(f"failed {path}:{inside} {what}")
            code = 1
            continue
        count += 1
        size = spell_size(removed.freed_bytes)
        print(f"{verb} {path}  {size}  (artefact: {artefact.pattern})")
    if artefacts:
        what = counted(count, "artefact", "artefacts")
        print(f"{plain(project.name)}: {verb} {what}, {spell_size(freed)}")
    return code


def _without_tracked(plan: Plan, project: Path, tracked: Tracked) -> Plan:
    """`plan` without the entries that hold something that git tracks."""
    # By its real path: a root that is a link may lead to another place in the work tree.
    root = os.path.realpath(plan.root)
    below = os.path.relpath(root, os.path.realpath(project))
    steps = []
    kept = list(plan.kept)
    for step in plan.steps:
        inside = tracked.inside(f"{below}/{step.entry.path}")
        if inside is None:
            steps.append(step)
        else:
            kept.append(
                Verdict(step.entry, True, (Reason("tracked", "stays", f"git tracks {inside}"),))
            )
    return plan._replace(steps=tuple(steps), kept=tuple(kept))
