"""Scratch that git tracks, which stays whatever the policy says."""

from __future__ import annotations

import os
from pathlib import Path

from ..core.entry import Entry
from ..core.plan import Plan
from ..core.reasons import Reason, Verdict
from ..store.artefacts.finding import TAKES_UNSURE
from ..store.project.tracked import Tracked


def without_tracked(plan: Plan, project: Path, tracked: Tracked, *, include_unsure: bool) -> Plan:
    """Return `plan` without entries that hold files that git tracks, or may track, in `project`."""
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
    """Return a line on what git tracks in `entry`; "" if it tracks nothing there."""
    # By its real path: a root that is a symlink may lead elsewhere in the work tree.
    below = os.path.relpath(os.path.realpath(root), os.path.realpath(project))
    inside = tracked.inside(f"{below}/{entry.path}")
    return "" if inside is None else f"git tracks {inside}"


def kept_as_tracked(entry: Entry, why: str) -> Verdict:
    """Return the decision to keep an entry for that reason."""
    return Verdict(entry, True, (Reason("tracked", "stays", why),))
