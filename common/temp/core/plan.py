"""The plan of a sweep, its steps and their outcomes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple

from .disposal import DISPOSALS, Disposal
from .entry import Entry, Inventory, Leftover, Problem
from .links import freed, once
from .policy import Policy
from .reasons import LOW_SPACE, WITHIN_LIMITS, Reason, Verdict
from .units import DAY

Status = Literal["done", "skipped", "failed"]


class Step(NamedTuple):
    """One entry's share of a plan. `stays` is how many of its bytes `keep_files` leaves in place;
    `None` if the whole entry goes.
    """

    entry: Entry
    disposal: Disposal
    reason: Reason
    stays: int | None = None


class Plan(NamedTuple):
    """What a sweep of `root` would do, and what it leaves alone and why.

    `out_of_scope` counts the entries excluded by `--category` or `--name`. `archives` are deleted
    before the steps: entries set aside whose undo time is over or, if the disk is low, others, and
    then archives. The paths of their entries are relative to the undo area or the archive. `free`
    is the free space on the root's filesystem, `capacity` that plus the used space, `archives_move`
    whether archiving moves entries to another filesystem, `undo_for` for how many seconds undoable
    steps can be undone, and `entries` how many entries there were in all.
    """

    root: str
    policy: Policy
    drawn_at: float
    steps: tuple[Step, ...] = ()
    kept: tuple[Verdict, ...] = ()
    problems: tuple[Problem, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    out_of_scope: int = 0
    archives: tuple[Step, ...] = ()
    free: int | None = None
    archives_move: bool = False
    capacity: int | None = None
    undo_for: float = DAY
    entries: int | None = None

    @property
    def disposal(self) -> Disposal:
        """How entries go by this plan. The rest of a partly removed entry is always deleted."""
        wanted = (step.disposal for step in self.steps if not step.entry.unfinished)
        return next(wanted, "delete")

    @property
    def wanted_free(self) -> int | None:
        """How many bytes the policy wants free; `None` if it does not say."""
        return self.policy.wanted_free(self.free, self.capacity)

    @property
    def is_measured(self) -> bool:
        """Whether the sizes of all entries that go are known."""
        return not any(step.entry.partial for step in self.steps)

    @property
    def planned_bytes(self) -> int:
        """Forecast of the bytes the steps free after the archives. Trashed, archived and undoable
        entries free none, unless the archive is on another filesystem.

        Too low unless the plan `is_measured`.
        """
        archives = [step.entry for step in self.archives]
        staying = sum(step.stays or 0 for step in self.steps if self.frees_space(step.disposal))
        coming = sum(freed([*archives, *self._freeing])) - sum(freed(archives))
        return max(0, coming - staying)

    @property
    def linked_bytes(self) -> int:
        """Bytes of the entries to free that stay because hard links elsewhere keep them."""
        return sum(once(self._freeing)) - sum(freed(self._freeing))

    @property
    def _freeing(self) -> list[Entry]:
        return [step.entry for step in self.steps if self.frees_space(step.disposal)]

    def frees_space(self, disposal: Disposal) -> bool:
        """Whether entries disposed of by `disposal` free their space."""
        return DISPOSALS[disposal].frees_space(archives_move=self.archives_move)

    def _is_near(self, step: Step) -> bool:
        """Whether the set-aside or archived entry it deletes is on the root's disk."""
        return not (DISPOSALS[step.disposal].in_archive and self.archives_move)

    @property
    def planned_archive_bytes(self) -> int:
        """Forecast of the bytes that deleting `archives` frees."""
        return sum(freed(step.entry for step in self.archives))

    def shortfall(
        self, reached: int | None = None, undone: Collection[str] = ()
    ) -> Shortfall | None:
        """The free space still lacking after this plan; `None` if there is enough or no target.

        `reached` is the number of bytes free after it; the default is the forecast. `undone` has
        the paths of entries whose steps were not carried out.
        """
        wanted = self.wanted_free
        if wanted is None or self.free is None:
            return None
        if reached is None:
            near = [one.entry for one in self.archives if self._is_near(one)]
            reached = self.free + sum(freed(near)) + self.planned_bytes
        if reached >= wanted:
            return None
        held: dict[str, list[Entry]] = {}
        for verdict in self.kept:
            if verdict.entry.ending or any(one.rule == LOW_SPACE for one in verdict.reasons):
                held.setdefault(verdict.reason.rule, []).append(verdict.entry)
        for step in self.steps:
            if step.entry.path in undone:
                held.setdefault(_NOT_REMOVED, []).append(step.entry)
            elif not self.frees_space(step.disposal):
                held.setdefault(DISPOSALS[step.disposal].held, []).append(step.entry)
        sizes = sorted((where, sum(once(entries))) for where, entries in held.items())
        more = any(
            verdict.reason.rule == WITHIN_LIMITS and not verdict.entry.ending
            for verdict in self.kept
        )
        return Shortfall(wanted, reached, tuple(sizes), more)


_NOT_REMOVED: Final = "not removed"


class Shortfall(NamedTuple):
    """Less space is free than wanted; `held` says how many bytes stay, and for what reason.

    `more` means that more entries could go, which the plan left out since it expected enough.
    """

    wanted: int
    reached: int
    held: tuple[tuple[str, int], ...]
    more: bool = False


class Outcome(NamedTuple):
    """The outcome of one step. `freed_bytes` is measured, never forecast.

    `until` is the end of its undo time (seconds since 1970), if it can be undone. `stays` tells
    that files of the entry are still in place. `packed_bytes` is how many bytes a copy takes in the
    archive; `None` if the entry was moved there, or not archived.
    """

    step: Step
    status: Status
    detail: str = ""
    freed_bytes: int = 0
    until: float | None = None
    stays: bool = False
    packed_bytes: int | None = None


class Report(NamedTuple):
    """The result of a sweep. `finished` counts the leftovers of killed sweeps that it completed.

    `background` means that entries were only moved aside, and a process is deleting them now.
    `dropped` has the outcomes for the plan's `archives`, and `free` is the free space afterwards,
    if the policy asks for free space.
    """

    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    finished: int = 0
    finished_bytes: int = 0
    problems: tuple[Problem, ...] = ()
    background: bool = False
    dropped: tuple[Outcome, ...] = ()
    free: int | None = None

    @property
    def freed_bytes(self) -> int:
        """Bytes freed in all, as measured while deleting."""
        all_of_them = (*self.dropped, *self.outcomes)
        return sum(outcome.freed_bytes for outcome in all_of_them) + self.finished_bytes

    @property
    def archived_bytes(self) -> int:
        """Bytes that the archived entries take in the archive."""
        archived = [one for one in self.done if DISPOSALS[one.step.disposal].needs_archive]
        moved = [one.step.entry for one in archived if one.packed_bytes is None]
        return sum(once(moved)) + sum(one.packed_bytes or 0 for one in archived)

    @property
    def done(self) -> tuple[Outcome, ...]:
        """The outcomes of the entries that are gone from their place."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "done")

    @property
    def shortfall(self) -> Shortfall | None:
        """The free space still lacking after the sweep; `None` if there is enough or unknown."""
        if self.free is None:
            return None
        undone = {one.step.entry.path for one in self.outcomes if one.status != "done"}
        return self.plan.shortfall(self.free, undone)

    @property
    def failed(self) -> bool:
        """Whether an entry failed, or one that could not be read is still there."""
        gone = {outcome.step.entry.path for outcome in self.done}
        outcomes = (*self.dropped, *self.outcomes)
        return any(outcome.status == "failed" for outcome in outcomes) or any(
            problem.blocking and problem.path not in gone for problem in self.problems
        )


class Scope(NamedTuple):
    """The entries a command applies to: one category, and a glob for names; `None` means all."""

    category: str | None = None
    name: str | None = None

    def holds(self, entry: Entry) -> bool:
        """Whether `entry` is in the scope."""
        if self.category is not None and entry.category != self.category:
            return False
        return self.name is None or any(fnmatchcase(text, self.name) for text in entry.names)


ALL: Final = Scope()


class Recorded(NamedTuple):
    """An entry in an earlier plan: its path, its identity, when it last changed, how large it was
    (on disk, and in files and directories) if all was measured, and from when its age counts.
    """

    path: str
    device: int
    inode: int
    changed: float
    size: int | None = None
    items: int | None = None
    last: float | None = None

    def is_as_large(self, entry: Entry) -> bool:
        """Whether `entry` has the recorded size; files copied into it may keep their old times."""
        if entry.partial or self.size is None or self.items is None:
            return True
        return (self.size, self.items) == (entry.size, entry.files + entry.directories)


class Divergence(NamedTuple):
    """An entry of an earlier plan that does not go now, and why."""

    path: str
    why: str


def again(plan: Plan, recorded: Iterable[Recorded]) -> tuple[Plan, tuple[Divergence, ...]]:
    """The current `plan` reduced to the `recorded` steps; and for each recorded step that is not in
    it, what changed.

    An entry goes only if it is the same file or directory, and was neither changed nor used since.
    """
    steps = {step.entry.path: step for step in plan.steps}
    kept = {verdict.entry.path: verdict for verdict in plan.kept}
    chosen: list[Step] = []
    diverged: list[Divergence] = []
    for wanted in recorded:
        step, verdict = steps.pop(wanted.path, None), kept.get(wanted.path)
        entry = step.entry if step is not None else verdict.entry if verdict is not None else None
        if entry is None:
            diverged.append(Divergence(wanted.path, "is gone already"))
        elif (entry.device, entry.inode) != (wanted.device, wanted.inode):
            diverged.append(Divergence(wanted.path, "is no longer the one that was looked at"))
        elif entry.changed != wanted.changed:
            where = f", in {entry.changed_in}" if entry.changed_in else ""
            diverged.append(Divergence(wanted.path, f"has changed meanwhile{where}"))
        elif not wanted.is_as_large(entry):
            diverged.append(Divergence(wanted.path, "has changed meanwhile, in what it holds"))
        elif wanted.last is not None and entry.last > wanted.last:
            diverged.append(Divergence(wanted.path, "has been used, or moved, meanwhile"))
        elif step is not None:
            chosen.append(step._replace(reason=_PLANNED))
        elif verdict is not None:
            diverged.append(Divergence(wanted.path, f"is kept: {verdict.reason}"))
    # Divergences are reported one by one; the steps left in `steps` were not in the plan file.
    return plan._replace(steps=tuple(chosen), kept=(), out_of_scope=len(steps)), tuple(diverged)


_PLANNED: Final = Reason("planned", "goes", "listed in the plan file")


def draft(
    inventory: Inventory,
    verdicts: Iterable[Verdict],
    policy: Policy,
    now: float,
    *,
    disposal: Disposal = "delete",
    scope: Scope = ALL,
    archives: Iterable[tuple[Entry, Reason]] = (),
    archives_move: bool = False,
    forgotten: Iterable[tuple[Entry, Reason]] = (),
    undo_for: float = DAY,
) -> Plan:
    """The plan that follows from `verdicts`, oldest first; entries that go only because space is
    low come last, ordered by cost.

    The rest of an entry that a clean began to remove is deleted, whatever the disposal of the
    others: what could be kept of it was kept before.
    """
    steps: list[Step] = []
    kept: list[Verdict] = []
    outside = 0
    for verdict in verdicts:
        if not scope.holds(verdict.entry):
            outside += 1
        elif verdict.keep:
            kept.append(verdict)
        else:
            begun = verdict.entry.unfinished
            steps.append(Step(verdict.entry, "delete" if begun else disposal, verdict.reason))

    def turn(step: Step) -> tuple[bool, float, float, str]:
        entry, for_space = step.entry, step.reason.rule == LOW_SPACE
        cost = policy.of(entry.category).cost if for_space else 0.0
        return for_space, cost, entry.last, entry.path

    steps.sort(key=turn)
    return Plan(
        root=inventory.root,
        policy=policy,
        drawn_at=now,
        steps=tuple(steps),
        kept=tuple(kept),
        problems=inventory.problems,
        leftovers=inventory.leftovers,
        out_of_scope=outside,
        archives=(
            *(Step(held, "forget", reason) for held, reason in forgotten),
            *(Step(archived, "drop", reason) for archived, reason in archives),
        ),
        free=inventory.free,
        archives_move=archives_move,
        capacity=inventory.capacity,
        undo_for=undo_for,
        entries=len(steps) + len(kept) + outside,
    )
