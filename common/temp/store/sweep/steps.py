"""Executes the steps of one plan: takes and deletes entries, and reports the outcomes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from ...core.plan import Outcome, Plan, Step
from ...core.reasons import LOW_SPACE
from ...errors import TempError
from ..archive.leftovers import finish_root
from ..claiming.claim import Claim, NotClaimed, NotDisposed
from ..trees.removed import Removed
from ..workers.background import detach
from .batches import MOST, Batches
from .prepare import holders_of
from .rechecks import Facts
from .taking import outcome_of
from .ways import WAYS, Means

OnOutcome: TypeAlias = Callable[[Outcome], None]

_ENOUGH: Final = "enough is free now"


class Told:
    """The outcomes so far, each passed to `on_outcome` at once."""

    def __init__(self, on_outcome: OnOutcome | None) -> None:
        self._on_outcome = on_outcome
        self.outcomes: dict[int, Outcome] = {}
        """By the index of the step."""
        self.dropped: list[Outcome] = []
        """The outcomes for what the plan deletes before the steps."""

    def note(self, outcome: Outcome, index: int | None = None) -> None:
        """Note the outcome of the step at `index`; without one, of a deletion before the steps."""
        if index is None:
            self.dropped.append(outcome)
        else:
            self.outcomes[index] = outcome
        if self._on_outcome is not None:
            self._on_outcome(outcome)


class Steps:
    """The execution of the steps of a plan. Always close it after use."""

    def __init__(self, plan: Plan, means: Means, told: Told) -> None:
        self.facts = Facts(plan, batch=means.background)
        self._plan = plan
        self._means = means
        self._told = told
        self._batches = Batches(self.facts, background=means.background)
        self._taken: dict[Claim, int] = {}
        """The claims, each with the index of its step."""

    def drop(self) -> None:
        """Delete the set-aside and archived entries in the plan.

        Those that go only because the disk is low stay once it no longer is.
        """
        if not self._plan.archives:
            return
        from ..shelf.undo import UndoArea, is_over

        root, spared = self.facts.root, self._plan.policy.spare_in_use

        def objection(step: Step) -> str:
            if step.reason.rule == LOW_SPACE:
                return "" if self.facts.is_low() else _ENOUGH
            if step.disposal == "forget" and not is_over(root, step.entry.path, time.time()):
                return "has been restored meanwhile"
            return ""

        by = None if self._means.background else self._means.remover
        for holder, kind in ((UndoArea(root), "forget"), (self._means.archive, "drop")):
            steps = [step for step in self._plan.archives if step.disposal == kind]
            if holder is None or not steps:
                continue
            for outcome in holder.drop_all(steps, by, objection, spare_in_use=spared):
                self._told.note(outcome)

    def run(self) -> None:
        """Execute all steps. Deletions run in parallel.

        Steps for a low disk run last and one by one, since each may have freed enough space.
        """
        if self._means.background:
            self._run_in_background()
            return
        by_turns = [step.reason.rule == LOW_SPACE for step in self._plan.steps]
        together = by_turns.index(True) if True in by_turns else len(by_turns)
        self._run(range(together))
        for index in range(together, len(by_turns)):
            self._run(range(index, index + 1))

    def _run(self, indices: range) -> None:
        removals = self._means.remover.remove(self._take_all(indices), lambda: self._taken)
        with contextlib.closing(removals):
            for claim, removed in removals:
                index = self._taken[claim]
                step = self._plan.steps[index]
                outcome = outcome_of(step, self.facts, claim.conclude(removed))
                self._let_go(claim)
                self._told.note(outcome, index)

    def _run_in_background(self) -> None:
        """Claim all entries, and let another process delete them."""
        remover, archive = self._means.remover, self._means.archive
        claims: list[Claim] = []
        for claim in self._take_all(range(len(self._plan.steps))):
            claim.detach()
            index = self._taken[claim]
            step = self._plan.steps[index]
            self._told.note(outcome_of(step, self.facts, Removed(), "being freed"), index)
            claims.append(claim)
        has_dropped = bool(self._told.dropped)

        def delete() -> None:
            # The descriptor inherited by this process keeps the batch locked.
            finish_root(self.facts.root, remover, archive)
            for holder in holders_of(self.facts.root, archive) if has_dropped else ():
                holder.tidy(remover)
            with contextlib.closing(remover.remove(claims)) as removals:
                for claim, removed in removals:
                    claim.conclude(removed)
            self.close()

        keep: set[int] = set()
        for claim in claims:
            keep |= {claim.top, claim.holding, *claim.locks}
            if claim.directory is not None:
                keep.add(claim.directory)
        if not keep and not has_dropped:
            return
        try:
            detach(delete, keep)
        except OSError:
            delete()  # no process can be started

    def _take_all(self, indices: range) -> Iterator[Claim]:
        steps = self._plan.steps
        first = indices.start
        while first < indices.stop:
            count, together = self._batches.take(steps[first : min(indices.stop, first + MOST)])
            for offset, claim in together.items():
                self._taken[claim] = first + offset
            for offset in range(count):
                taken = together.get(offset) or self._take_one(first + offset)
                if taken is not None:
                    yield taken
            first += count

    def _take_one(self, index: int) -> Claim | None:
        """Claim the entry of that step for deletion, or note its outcome."""
        step = self._plan.steps[index]
        try:
            taken = self._take(step)
        except NotClaimed as reason:
            taken = Outcome(step, "failed" if reason.failed else "skipped", reason.detail)
        except (NotDisposed, OSError, TempError) as error:
            taken = Outcome(step, "failed", str(error))
        if isinstance(taken, Claim):
            self._taken[taken] = index
            return taken
        elsewhere = self._batches.elsewhere.pop(step.entry.path, "")
        self._told.note(taken._replace(detail=f"{taken.detail}{elsewhere}"), index)
        return None

    def _take(self, step: Step) -> Claim | Outcome:
        """The claim of an entry that is still to be deleted, or the outcome."""
        if step.reason.rule == LOW_SPACE and not self.facts.is_low():
            return Outcome(step, "skipped", _ENOUGH)
        if objection := self.facts.objection(step):
            return Outcome(step, "skipped", objection)
        self.facts.note_owner(step.entry)
        return WAYS[step.disposal](step, self.facts, self._means)

    def _let_go(self, claim: Claim) -> None:
        del self._taken[claim]
        claim.close()

    def close(self) -> None:
        """Release all claims that are left, for the next sweep to finish."""
        for claim in tuple(self._taken):
            self._let_go(claim)
        self.facts.close()
