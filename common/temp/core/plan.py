"""What will happen and what did: a plan of steps, and their outcomes."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple

from .entry import Entry, Inventory, Leftover, Problem
from .retention import Policy, Reason, Verdict

Disposal = Literal["delete", "trash", "archive"]
Status = Literal["done", "skipped", "failed"]


class Step(NamedTuple):
    """One entry's share of a plan."""

    entry: Entry
    disposal: Disposal
    reason: Reason


class Plan(NamedTuple):
    """What a sweep of `root` would do, and what it leaves alone and why.

    `out_of_scope` counts the entries that `--category` or `--name` left out of the question.
    """

    root: str
    policy: Policy
    drawn_at: float
    steps: tuple[Step, ...] = ()
    kept: tuple[Verdict, ...] = ()
    problems: tuple[Problem, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    out_of_scope: int = 0

    @property
    def is_measured(self) -> bool:
        """Whether the sizes of all that goes are known."""
        return not any(step.entry.partial for step in self.steps)

    @property
    def planned_bytes(self) -> int:
        """Bytes that the steps should free: a forecast. Trash and archive free none.

        Too few where not all `is_measured`.
        """
        return sum(
            step.entry.size - step.entry.shared for step in self.steps if step.disposal == "delete"
        )


class Outcome(NamedTuple):
    """What became of one step. `freed_bytes` is measured, never the forecast."""

    step: Step
    status: Status
    detail: str = ""
    freed_bytes: int = 0


class Report(NamedTuple):
    """What a sweep did. `finished` counts the leftovers of killed sweeps that it completed.

    In the `background` means that what is done was moved aside, and a process deletes it now.
    """

    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    finished: int = 0
    finished_bytes: int = 0
    problems: tuple[Problem, ...] = ()
    background: bool = False

    @property
    def freed_bytes(self) -> int:
        """Bytes freed in all, as measured while deleting."""
        return sum(outcome.freed_bytes for outcome in self.outcomes) + self.finished_bytes

    @property
    def done(self) -> tuple[Outcome, ...]:
        """The outcomes of the entries that are gone from where they were."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "done")

    @property
    def failed(self) -> bool:
        """Whether an entry failed, or could not be seen and is still there."""
        gone = {outcome.step.entry.path for outcome in self.done}
        return any(outcome.status == "failed" for outcome in self.outcomes) or any(
            problem.blocking and problem.path not in gone for problem in self.problems
        )


class Scope(NamedTuple):
    """Which entries a command speaks of: one category, and a glob for names; `None` is all."""

    category: str | None = None
    name: str | None = None

    def holds(self, entry: Entry) -> bool:
        """Whether `entry` is in the scope."""
        if self.category is not None and entry.category != self.category:
            return False
        return self.name is None or any(
            fnmatchcase(text, self.name) for text in (entry.name, entry.label, entry.path)
        )


ALL: Final = Scope()


def draft(
    inventory: Inventory,
    verdicts: Iterable[Verdict],
    policy: Policy,
    now: float,
    *,
    disposal: Disposal = "delete",
    scope: Scope = ALL,
) -> Plan:
    """The plan that follows from `verdicts`, oldest change first."""
    steps: list[Step] = []
    kept: list[Verdict] = []
    outside = 0
    for verdict in verdicts:
        if not scope.holds(verdict.entry):
            outside += 1
        elif verdict.keep:
            kept.append(verdict)
        else:
            steps.append(Step(verdict.entry, disposal, verdict.reason))
    steps.sort(key=lambda step: (step.entry.changed, step.entry.path))
    return Plan(
        root=inventory.root,
        policy=policy,
        drawn_at=now,
        steps=tuple(steps),
        kept=tuple(kept),
        problems=inventory.problems,
        leftovers=inventory.leftovers,
        out_of_scope=outside,
    )
