"""One sweep: the execution of a plan, from finishing killed sweeps to writing the history."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...core.entry import Problem
from ...core.layouts import ARRIVALS, ENDS, HISTORY, PINS, STORE, USED
from ...core.plan import Outcome, Plan, Report
from ...errors import Refused, TempError
from ..archive.leftovers import finish_root
from ..claiming.many_removals import Freed, Remover
from ..project.project import check_root
from ..root.arrivals import note_first_seen
from ..root.linked_roots import check_link_of_project
from ..root.records import forget_gone
from ..system.space import free_bytes
from ..trees.removed import Removed
from ..workers.background import may_detach
from .prepare import holders_of
from .steps import OnOutcome, Steps, Told
from .ways import Means

if TYPE_CHECKING:
    from ..archive.archives import Archive
    from ..system.archive_formats import ArchiveFormat

_TAKEN_SECONDS: Final = 24 * 3600.0
"""A sweep that is stopped for at most this time after it took an entry still finds its pin."""


def execute(
    plan: Plan,
    *,
    archive: Archive | None = None,
    archive_format: ArchiveFormat = "dir",
    on_outcome: OnOutcome | None = None,
    on_freed: Freed | None = None,
    workers: int | None = None,
    background: bool = False,
    face: str = "",
) -> Report:
    """Execute `plan`, and return the outcome of each step.

    1. Finish what killed sweeps left half-done in the root, the undo area and the archive.
    2. Delete set-aside and archived entries in the plan: those past their time or over a limit and,
       if the disk is low, others.
    3. For each step, check the entry again: still the same, not in use, not pinned, nothing newer
       inside. Claim it by a rename, then dispose of it (see `ways.WAYS`).
    4. Remove the owner files of dead processes, and old pins of entries that are gone.
    5. Add the sweep to the root's history, with `face`: the task or class that was called.

    Steps that archive write `archive_format` to the `archive`.
    At most `workers` help to delete (`None`: as many as make it faster; 1: none): forked processes,
    or threads if this process has other threads. A KeyboardInterrupt leaves a few entries
    half-deleted in the holding area, for the next sweep to finish.

    In the `background`, everything is claimed, and another process finishes and deletes after this
    returns. Raises `Refused` if no such process can be started, and what `prepare` raises. A
    history that cannot be written is a problem in the report.
    """
    background = background and bool(plan.steps or plan.archives)
    if background and not may_detach():
        raise Refused(
            "--background cannot be used here: it needs a process that can fork and that is known "
            "to have no other threads"
        )
    if not check_root(Path(plan.root)):
        gone = tuple(Outcome(step, "skipped", "is gone already") for step in plan.steps)
        return Report(plan=plan, outcomes=gone, problems=plan.problems)
    check_link_of_project(Path(plan.root))
    began, started = time.time(), time.monotonic()
    means = Means(Remover(workers, on_freed), archive, archive_format, plan.undo_for, background)
    told = Told(on_outcome)
    try:
        report = _carry_out(plan, means, told)
    except BaseException:
        outcomes, dropped = tuple(told.outcomes.values()), tuple(told.dropped)
        so_far = Report(plan, outcomes, dropped=dropped, background=background)
        _remember(so_far, means, face, began, time.monotonic() - started, interrupted=True)
        raise
    problems = _remember(report, means, face, began, time.monotonic() - started)
    return report._replace(problems=(*report.problems, *problems))


def _carry_out(plan: Plan, means: Means, told: Told) -> Report:
    """Steps 1 to 4 of a sweep."""
    root = Path(plan.root)
    finished, left, problems = _finish(root, means)
    with contextlib.closing(Steps(plan, means, told)) as steps:
        steps.drop()
        steps.run()
    note_first_seen(root, (verdict.entry for verdict in plan.kept), plan.drawn_at)
    outcomes = tuple(told.outcomes[index] for index in range(len(plan.steps)))
    try:
        # Do this even without steps: killed processes may have left only owner files.
        steps.facts.leases.refresh()
        steps.facts.leases.forget_dead()
        if outcomes or finished:
            # Recent pins of missing entries stay: another sweep that moved an entry aside or to the
            # trash puts it back if it finds a new pin.
            forget_gone(root, PINS, spare_unread=True, before=time.time() - _TAKEN_SECONDS)
            for part in (ARRIVALS, USED, ENDS):
                forget_gone(root, part, spare_unread=False)
    except TempError as error:
        problems.append(Problem(STORE, str(error)))
    return Report(
        plan=plan,
        outcomes=outcomes,
        finished=finished,
        finished_bytes=left.freed_bytes,
        problems=(*plan.problems, *problems),
        background=means.background,
        dropped=tuple(told.dropped),
        free=None if means.background or plan.wanted_free is None else free_bytes(root),
    )


def _finish(root: Path, means: Means) -> tuple[int, Removed, list[Problem]]:
    """Finish the leftovers of killed sweeps. Returns their number, the result, and the problems.

    A sweep in the background leaves this to its other process.
    """
    if means.background:
        return 0, Removed(), []
    problems = []
    finished, left = finish_root(root, means.remover, means.archive)
    for holder in holders_of(root, means.archive):
        try:
            count, there = holder.tidy(means.remover)
            finished += count
            left.add(there)
        except TempError as error:
            problems.append(Problem(holder.location, str(error)))
    problems += [Problem(where, f"cannot be deleted: {what}") for where, what in left.failures]
    return finished, left, problems


def _remember(
    report: Report,
    means: Means,
    face: str,
    began: float,
    took: float,
    *,
    interrupted: bool = False,
) -> tuple[Problem, ...]:
    """Add the sweep to the root's history, if it did anything. Returns the problem, if any."""
    if not (report.plan.steps or report.finished or report.dropped):
        return ()
    from ..root.history import remember

    freed = means.remover.freed_bytes
    why = remember(report, face, began, took, interrupted=interrupted, freed_bytes=freed)
    return (Problem(f"{STORE}/{HISTORY}", why, blocking=False),) if why else ()
