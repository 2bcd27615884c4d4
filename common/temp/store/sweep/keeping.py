"""Entries of which files stay: looked at for the plan, and thinned out by the sweep."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.disposal import Disposal
from ...core.entry import Entry
from ...core.keeping import FilesKept, files_matcher, why_files_keep_it
from ...core.plan import Outcome, Plan, Step
from ...core.policy import Policy
from ...core.reasons import Verdict
from ...errors import reason_of
from ..claiming.claim import Claim, NotClaimed
from ..root.arrivals import note_remainder
from ..system.opening import opened_in
from ..trees.kept import find_kept
from ..trees.removed import Removed
from ..trees.thinning import size_kept, thin
from .facts import Facts
from .taking import outcome_of, take

if TYPE_CHECKING:
    from ..archive.archives import Part


def files_kept(root: Path, entry: Entry, patterns: tuple[str, ...]) -> FilesKept | None:
    """What of `entry` matches the globs; `None` if nothing does. Raises `OSError`."""
    matches = files_matcher(patterns)
    if matches(entry.name):
        return FilesKept(1, entry.size, False)
    if entry.kind != "directory":
        return None
    *above, name = entry.path.split("/")
    with opened_in(root, *above) as parent:
        kept = find_kept(parent, name, matches, _place(root, entry))
        if not kept.paths:
            return None
        return FilesKept(len(kept.paths), size_kept(parent, name, kept), kept.rest)


def verdict_by_files(
    root: Path, policy: Policy, verdict: Verdict, disposal: Disposal
) -> tuple[Verdict, FilesKept | None]:
    """The verdict once it is known which of the entry's files are to be kept, and those."""
    patterns = policy.of(verdict.entry.category).keep_files
    if verdict.keep or not patterns:
        return verdict, None
    try:
        files = files_kept(root, verdict.entry, patterns)
    except OSError:
        return verdict, None  # the sweep looks again, and says what it could not read
    return (verdict if files is None else why_files_keep_it(verdict, files, disposal)), files


def with_files_kept(plan: Plan) -> Plan:
    """The plan, with how much of each entry stays, and without those that stay whole."""
    steps, kept = [], [*plan.kept]
    for step in plan.steps:
        going = Verdict(step.entry, False, (step.reason,))
        verdict, files = verdict_by_files(Path(plan.root), plan.policy, going, step.disposal)
        if verdict.keep:
            kept.append(verdict)
        elif files is not None and step.disposal == "delete":
            steps.append(step._replace(stays=files.size))
        else:
            steps.append(step)
    return plan._replace(steps=tuple(steps), kept=tuple(kept))


def take_or_thin(step: Step, facts: Facts) -> Claim | Outcome:
    """The entry, claimed to be deleted whole; or the outcome, if files of it stay in its place.

    Until it is thinned out it is claimed, and back in its place then. A kill meanwhile leaves it to
    the next sweep, which puts it back first. Raises `NotClaimed`.
    """
    patterns = facts.rules(step.entry).keep_files
    if not patterns:
        return take(step, facts)
    claim = take(step, facts, condemn=False)
    try:
        found = _thin(claim, step, facts, patterns)
        if found is None:
            claim.condemn()
            return claim
        count, removed = found
        elsewhere = _put_back(claim, removed)
    except BaseException as error:
        where = claim.put_back()
        claim.close()
        if isinstance(error, NotClaimed):
            error.detail += where
        raise
    claim.close()
    if not removed.failures and elsewhere:
        removed.failures.append(("", f"it was thinned out{elsewhere}"))
    outcome = outcome_of(step, facts, removed, f"{count} that keep_files matches stay")
    return outcome._replace(stays=outcome.status == "done")


def part_to_keep(step: Step, facts: Facts) -> Part | None:
    """What finds the part of an entry that is to be archived; `None` if all of it is.

    One in which nothing matches is archived whole.
    """
    patterns = facts.rules(step.entry).keep_files
    matches = files_matcher(patterns)
    if not patterns or step.entry.kind != "directory" or matches(step.entry.name):
        return None

    def part(parent: int, name: str) -> Callable[[str], bool] | None:
        kept = find_kept(parent, name, matches, _place(facts.root, step.entry))
        return kept.holds if kept.paths and kept.rest else None

    return part


def _put_back(claim: Claim, removed: Removed) -> str:
    """Put back what was thinned out. If that failed, it is to be finished; else nothing is."""
    if removed.failures:
        claim.conclude(removed)
        return ""
    if removed.files or removed.directories:
        claim.is_finished = True
    return claim.put_back()


def check_none_kept(step: Step, facts: Facts) -> None:
    """Raise `NotClaimed` if files of the entry are to stay in its place."""
    if _files_kept_now(step, facts) is not None:
        raise NotClaimed("holds what keep_files matches")


def _files_kept_now(step: Step, facts: Facts) -> FilesKept | None:
    patterns = facts.rules(step.entry).keep_files
    try:
        return files_kept(facts.root, step.entry, patterns) if patterns else None
    except OSError as error:
        raise NotClaimed(reason_of(error), failed=True) from error


def _thin(
    claim: Claim, step: Step, facts: Facts, patterns: tuple[str, ...]
) -> tuple[int, Removed] | None:
    """How many files and directories stay in what is claimed, and what freeing the rest did.

    `None` if nothing stays. Raises `NotClaimed` if all of it does, or it cannot be read.
    """
    entry, matches = step.entry, files_matcher(patterns)
    if matches(entry.name):
        raise NotClaimed("matches keep_files")
    if entry.kind != "directory":
        return None
    try:
        kept = find_kept(claim.holding, claim.held, matches, _place(facts.root, entry))
    except OSError as error:
        raise NotClaimed(reason_of(error), failed=True) from error
    if not kept.paths:
        return None
    if not kept.rest:
        raise NotClaimed("all that is in it matches keep_files")
    if claim.before is not None:
        # First, so that after a kill too it is not taken for a category of what stays in it.
        note_remainder(facts.root, entry.path, claim.before)
        claim.is_remainder = True
    return len(kept.paths), thin(claim.holding, claim.held, kept, matches)


def _place(root: Path, entry: Entry) -> str:
    """The real path of the entry, which may be claimed now."""
    return os.path.join(os.path.realpath(root), entry.path)
