"""Entries with files that `keep_files` keeps: found for the plan, and thinned out by the sweep."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.disposal import Disposal
from ...core.entry import Entry
from ...core.keeping import FilesKept, files_matcher, why_files_keep_it
from ...core.layouts import UNCATEGORIZED
from ...core.plan import Outcome, Plan, Step
from ...core.policy import Policy
from ...core.reasons import Verdict
from ...errors import reason_of
from ..claiming.claim import Claim, NotClaimed
from ..project.store_guard import folds_case
from ..root.arrivals import is_part, note_remainder
from ..system import at
from ..system.opening import opened_in
from ..trees.kept_paths import Matches, find_kept
from ..trees.removed import Removed
from ..trees.thinning import size_kept, thin
from .rechecks import Facts
from .taking import outcome_of, take

if TYPE_CHECKING:
    from ..archive.archives import Part


def _matcher(root: Path, policy: Policy, entry: Entry) -> Matches | None:
    """A function that tells which paths in `entry` stay; `None` if none do.

    If an entry was thinned out and then became a category, what was kept of it stays as a whole:
    the globs matched paths relative to the former entry.
    """
    if policy.of(UNCATEGORIZED).keep_files and is_part(root, entry.path):
        return lambda _: True
    patterns = policy.of(entry.category).keep_files
    return files_matcher(patterns, any_case=entry.any_case) if patterns else None


def _files_kept(root: Path, entry: Entry, matches: Matches) -> FilesKept | None:
    """The files of `entry` that stay; `None` if there are none. Raises `OSError`."""
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


def is_kept(root: Path, path: str, patterns: tuple[str, ...]) -> bool:
    """Whether `path` in `root`, an entry or deep in one, is kept or holds anything kept by the
    globs `patterns`. Raises `OSError`.
    """
    entry, _, inner = path.partition("/")
    matches = files_matcher(patterns, any_case=folds_case(root))
    if matches(entry):
        return True
    with opened_in(root) as top:
        if not stat.S_ISDIR(at.stat(entry, dir_fd=top, follow_symlinks=False).st_mode):
            return False
        kept = find_kept(top, entry, matches, os.path.join(os.path.realpath(root), entry))
    return bool(kept.paths) and (not inner or kept.holds(inner))


def verdict_by_files(
    root: Path, policy: Policy, verdict: Verdict, disposal: Disposal
) -> tuple[Verdict, FilesKept | None]:
    """The verdict, adjusted for files of the entry that are kept, and these files."""
    matches = None if verdict.keep else _matcher(root, policy, verdict.entry)
    if matches is None:
        return verdict, None
    try:
        files = _files_kept(root, verdict.entry, matches)
    except OSError:
        return verdict, None  # the sweep checks again, and reports what it could not read
    return (verdict if files is None else why_files_keep_it(verdict, files, disposal)), files


def with_files_kept(plan: Plan) -> Plan:
    """The plan with the kept size of each entry, and without entries that are kept as a whole."""
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
    """The claim of an entry to be deleted whole, or the outcome if some of its files stay.

    The entry is claimed, thinned out and put back. After a kill in between, the next sweep puts it
    back first. Raises `NotClaimed`.
    """
    matches = _matcher(facts.root, facts.policy, step.entry)
    if matches is None:
        return take(step, facts)
    claim = take(step, facts, condemn=False)
    try:
        found = _thin(claim, step, facts, matches)
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
    outcome = outcome_of(
        step, facts, removed, f"except {count} path{'s' * (count > 1)} kept by keep_files"
    )
    return outcome._replace(stays=outcome.status == "done")


def part_to_keep(step: Step, facts: Facts) -> Part | None:
    """A function that finds the part of an entry to archive; `None` if all of it is archived.

    An entry in which nothing matches is archived as a whole.
    """
    matches = _matcher(facts.root, facts.policy, step.entry)
    if matches is None or step.entry.kind != "directory" or matches(step.entry.name):
        return None

    def part(parent: int, name: str) -> Callable[[str], bool] | None:
        kept = find_kept(parent, name, matches, _place(facts.root, step.entry))
        return kept.holds if kept.paths and kept.rest else None

    return part


def _put_back(claim: Claim, removed: Removed) -> str:
    """Put back the thinned-out entry, and record whether the next clean must finish it."""
    if removed.failures:
        claim.conclude(removed)
        return ""
    if removed.files or removed.directories:
        claim.is_finished = True
    return claim.put_back()


def check_none_kept(step: Step, facts: Facts) -> None:
    """Raise `NotClaimed` if any files of the entry are kept."""
    if _files_kept_now(step, facts) is not None:
        raise NotClaimed("holds files that keep_files keeps")


def _files_kept_now(step: Step, facts: Facts) -> FilesKept | None:
    matches = _matcher(facts.root, facts.policy, step.entry)
    try:
        return None if matches is None else _files_kept(facts.root, step.entry, matches)
    except OSError as error:
        raise NotClaimed(reason_of(error), failed=True) from error


def _thin(claim: Claim, step: Step, facts: Facts, matches: Matches) -> tuple[int, Removed] | None:
    """Thin out the claimed entry. Returns the number of files and directories kept, and the result.

    `None` if nothing is kept. Raises `NotClaimed` if everything is, or the entry cannot be read.
    """
    entry = step.entry
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
        raise NotClaimed("everything in it matches keep_files")
    if claim.before is not None:
        # Note this first: even after a kill, it must not be taken for a category of what is kept.
        names = {path.partition("/")[0] for path in kept.paths}
        note_remainder(facts.root, entry.path, claim.before, names)
        claim.is_remainder = True
    return len(kept.paths), thin(claim.holding, claim.held, kept, matches)


def _place(root: Path, entry: Entry) -> str:
    """The real path of the entry, which may be claimed now."""
    return os.path.join(os.path.realpath(root), entry.path)
