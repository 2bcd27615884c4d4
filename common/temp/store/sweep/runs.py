"""Test runs: the directories that each run makes and keeps, and the removal of older ones.

A run is one invocation of pytest, with one or more processes. Each process notes what its tests
make in an owner file of its own, and what it keeps in a second one. These tell a later run what
belongs to a run, what was kept, and what was left by a kill. The later run removes nothing else in
the same category.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from ...core.entry import CLOCK_SKEW
from ...core.layouts import TEST
from ...core.plan import Outcome, Scope
from ...core.policy import Policy
from ...errors import StorageError, TempError
from ..root import owner as lease
from ..root.allocation import allocate
from ..root.current_owners import own
from ..root.leases import Leases
from ..root.owner import owner_of
from ..root.owner_kinds import Book
from ..root.run_notes import RunNotes, notes_of_runs
from ..settings.loading import load
from ..system.at import ROOT_FLAGS
from ..system.opening import opened
from ..trees.contents import newest_status_in
from ..trees.measured_path import newest_change
from .discard import discard
from .prepare import prepare
from .sweep import execute

KEPT_RUNS: Final = 3
"""The directories of this many runs stay: the newest ones that kept any."""

_log = logging.getLogger(__name__)


class Run:
    """The calling process's part of one test run.

    All processes of a run have the same `id`. A forked child neither removes nor keeps directories
    made before the fork.
    """

    def __init__(self, id: str) -> None:  # noqa: A002 - the best name
        self._meanwhile = Book(id)
        self._roots: dict[str, set[Book]] = {}

    def make(self, root: str, label: str, now: float) -> str:
        """The path of a new, empty directory in `root`, removed when the process ends.

        The first call for a root also removes what older runs left there. `now` is in seconds since
        1970. Raises `StorageError` or `Refused`.
        """
        if root not in self._roots:
            self._roots[root] = set()
            _reclaim(root, now)
        path = allocate(root, TEST, label)
        # Note it only after it was made: if two processes try the same name, a killed one must not
        # have noted the other's directory. A kill right here leaves an empty directory for the next
        # clean.
        relative = path[len(root) + 1 :]
        try:
            owner_of(root, self._meanwhile).record(relative)
        except OSError as error:
            discard(root, relative)
            raise StorageError.of(f"cannot record {path}", error) from error
        return path

    def drop(self, root: str, relative: str) -> str:
        """Remove an entry of this run. Returns "", or why that failed; the next run tries again."""
        problem = discard(root, relative)
        if not problem:
            lease.release(root, relative, self._meanwhile)
        return problem

    def keep(self, root: str, relative: str, why: str) -> None:
        """Keep an entry of this run. It is in use until `end`.

        Raises `StorageError` if that cannot be noted; then the entry is removed at the end.
        """
        owner = own(root, self._meanwhile)
        if owner is None or relative not in owner.live:
            return
        kept = self._meanwhile._replace(kept=why)
        try:
            owner_of(root, kept).record(relative)
        except OSError as error:
            raise StorageError.of(f"cannot record {root}/{relative}", error) from error
        self._roots[root].add(kept)
        # Release it only now: after a kill here it is noted twice, which counts as kept.
        lease.release(root, relative, self._meanwhile)
        lease.release(root, relative)

    def end(self, now: float) -> None:
        """End this process's part: remove its remaining entries, then all but the newest runs."""
        for root, kept in self._roots.items():
            for relative in self._at_work_in(root):
                problem = self.drop(root, relative)
                if problem:
                    _log.warning("cannot remove %s/%s: %s", root, relative, problem)
            for book in (self._meanwhile, *kept):
                lease.close(root, book)
            if kept:
                _reclaim(root, now)
        self._roots.clear()

    def _at_work_in(self, root: str) -> set[str]:
        """The entries that this process has made but neither kept nor tried to remove."""
        owner, in_use = own(root, self._meanwhile), own(root)
        return set(owner.live) & set(in_use.live) if owner and in_use else set()


def _reclaim(root: str, now: float) -> None:
    """Remove the entries that killed runs left in `root`, and those that older runs kept.

    Entries that are in use, pinned or protected by the project's settings stay. So do kept entries
    with git work that exists nowhere else, if they were changed after their run: a person is
    working there.
    """
    try:
        leases = Leases(Path(root))
        leases.refresh()
        doomed = _doomed(notes_of_runs(Path(root), leases), now + CLOCK_SKEW)
        if not doomed:
            leases.forget_dead()
            return
        changed = {path for path, ended in doomed.items() if _changed_since(root, path, ended)}
        for paths, spare_work in ((doomed.keys() - changed, False), (changed, True)):
            if paths:
                _remove(root, paths, now, spare_work=spare_work)
    except TempError as error:
        _log.warning("cannot remove what earlier runs of tests left in %s: %s", root, error)


def _remove(root: str, doomed: AbstractSet[str], now: float, *, spare_work: bool) -> None:
    everything = Policy(everything=True, spare_work=spare_work)
    policy = load(Path(root).parent).policy.with_limits_of(everything)
    plan = prepare(Path(root), policy, now, scope=Scope(TEST), sizes=False, workers=1)
    steps = tuple(step for step in plan.steps if step.entry.path in doomed)
    execute(plan._replace(steps=steps), on_outcome=_warn_of_failure, workers=1, face="pytest")


def _doomed(notes: Iterable[RunNotes], now: float) -> dict[str, float]:
    """The entries of ended runs to remove: those not kept, and those kept by old runs.

    Each is mapped to the time when its run ended, or to infinity if it was not kept.
    """
    notes = tuple(notes)
    kept = [note for note in notes if note.book.kept]
    ended: dict[str, float] = {}
    for note in kept:
        ended[note.book.run] = max(note.written, ended.get(note.book.run, 0.0))
    # Runs with an end in the future come first, as if oldest: the clock was ahead.
    newest = sorted(ended, key=lambda run: (ended[run] <= now, ended[run], run))[-KEPT_RUNS:]
    gone: dict[str, float] = {}
    for note in notes:
        if note.is_over and not (note.book.kept and note.book.run in newest):
            for path in note.entries:
                until = ended[note.book.run] if note.book.kept else math.inf
                gone[path] = min(until, gone.get(path, math.inf))
    for note in kept:
        if note.book.run in newest:
            for path in note.entries:
                gone.pop(path, None)
    return gone


def _changed_since(root: str, path: str, ended: float) -> bool:
    """Whether the entry was, or may have been, changed after its run had `ended`."""
    if ended == math.inf:
        return False
    try:
        with opened(root, ROOT_FLAGS) as top:
            changed = max(newest_change(top, path)[0], newest_status_in(top, path))
    except FileNotFoundError:
        return False
    except (OSError, TempError):
        return True
    return changed > ended


def _warn_of_failure(outcome: Outcome) -> None:
    if outcome.status == "failed":
        _log.warning("cannot remove %s: %s", outcome.step.entry.path, outcome.detail)
