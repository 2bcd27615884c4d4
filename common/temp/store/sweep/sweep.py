"""One sweep from scan to outcomes; the only code that carries a plan out."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ...core.entry import Entry, Inventory, Leftover, Problem, Use
from ...core.layout import HISTORY, SCRATCH, STORE, UNDO, Layout
from ...core.plan import ALL, ArchiveFormat, Disposal, Outcome, Plan, Report, Scope, Step, draft
from ...core.retention import (
    LOW_SPACE,
    Policy,
    Reason,
    archives_to_drop,
    freed_anyway,
    judge,
    needed,
)
from ...core.units import DAY, HOUR, read_number
from ...errors import Refused, StorageError, TempError, reason_of
from ..archive.leftovers import finish_leftovers, tidy
from ..claiming.claim import Claim, HoldingArea, NotClaimed, claimed
from ..claiming.disposal import NotDisposed, send_to_trash
from ..claiming.inner import Within
from ..claiming.many import Freed, Remover
from ..claiming.scan import Progress, busy_entries, free_bytes, scan
from ..project.project import check_root, user_root
from ..root.leases import Leases
from ..root.listing import list_leftovers
from ..root.owner import own, release
from ..root.pinning import Pins, forget_gone
from ..system import at
from ..system.at import DIRECTORY_FLAGS, ROOT_FLAGS
from ..system.locks import lock_directory
from ..system.opening import opened_in
from ..system.processes import AtWork
from ..trees.inside import look_at, look_inside, newest_change
from ..trees.measured import Inside
from ..trees.removed import Removed, spell_failures
from ..workers.background import detach, may_detach

if TYPE_CHECKING:
    from ..archive.shelf import Deposit

OnOutcome: TypeAlias = Callable[[Outcome], None]

ABANDONED = Policy(abandoned=True)
"""What holds for auto-cleanup entries: they were to go with their process, whatever the limits."""

_PROCESS_CHECK_SECONDS = 1.0
"""How old the last look at `/proc` may be when an entry is taken. A process that started to work
in an entry without a lease within this time is the race that is accepted here."""

_MANAGER = "TempManager"

_log = logging.getLogger(__name__)


def prepare(
    root: Path,
    policy: Policy,
    now: float,
    *,
    layout: Layout = SCRATCH,
    disposal: Disposal = "delete",
    scope: Scope = ALL,
    archive: Path | None = None,
    undo_for: float = DAY,
    sizes: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Plan:
    """The plan of a sweep of `root`; nothing is written. Raises `StorageError` or `Refused`.

    `layout` says what an entry of `root` is. What can be undone no longer goes first. If the disk
    is low and all entries are in the `scope`, so does what still can be, and then what was archived
    from there in `archive`. What goes undoably can be undone for `undo_for` seconds. Without
    `sizes` the entries that go whatever they hold are not measured. `workers` as in `scan`.
    """
    if archive is not None:
        with contextlib.suppress(StorageError):  # which the archiving will say
            check_root(archive)
    inventory = scan(
        root,
        now,
        layout=layout,
        need=lambda category: needed(policy, category, now, sizes=sizes),
        progress=progress,
        workers=workers,
        foreign_for=policy.foreign_for,
    )
    first = goes_first(
        inventory, policy, now, disposal=disposal, archive=archive, whole=scope == ALL
    )
    inventory = inventory._replace(
        leftovers=(*inventory.leftovers, *first.leftovers),
        problems=(*inventory.problems, *first.problems),
    )
    verdicts = judge(
        inventory.entries,
        policy,
        now,
        free=inventory.free,
        capacity=inventory.capacity,
        coming=first.coming,
    )
    return draft(
        inventory,
        verdicts,
        policy,
        now,
        disposal=disposal,
        scope=scope,
        archives=first.archives,
        archives_move=_moves(archive, root),
        forgotten=first.forgotten,
        undo_for=undo_for,
    )


class First(NamedTuple):
    """What goes before any entry does: of what can be undone, and of the archive, each with its
    reason; and what else there is to say of those two places.
    """

    forgotten: tuple[tuple[Entry, Reason], ...] = ()
    archives: tuple[tuple[Entry, Reason], ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def coming(self) -> int:
        """The bytes that this frees: a forecast."""
        return sum(one.size - one.shared for one, _ in (*self.forgotten, *self.archives))


def goes_first(
    inventory: Inventory,
    policy: Policy,
    now: float,
    *,
    disposal: Disposal,
    archive: Path | None,
    whole: bool = True,
) -> First:
    """What a sweep of that root deletes before any entry; nothing is written.

    If the disk is low, and the sweep is one of the `whole` root, that is also what can be undone
    still, and then archives: as few as are needed beside the entries that go anyway.
    """
    root = Path(inventory.root)
    free, capacity = inventory.free, inventory.capacity
    wanted = policy.wanted_free(free, capacity)
    is_low = free is not None and wanted is not None and free < wanted and whole
    frees = disposal == "delete" or (disposal == "archive" and _moves(archive, root))
    places = tuple(_places(root, archive))
    anyway = freed_anyway(inventory.entries, policy, now) if places and is_low and frees else 0
    first = First()
    for place in places:
        try:
            left = list_leftovers(place)
            if place != archive:
                from ..archive.undo import to_forget, unusable

                odd = tuple(unusable(root))
                first = first._replace(problems=(*first.problems, *odd))
                near = free if is_low else None
                goes = to_forget(root, policy, now, free=near, capacity=capacity, anyway=anyway)
                first = first._replace(forgotten=goes)
            elif is_low:
                from ..archive.shelf import droppable

                found, coming = droppable(place, root), first.coming + anyway
                goes = archives_to_drop(found, policy, free=free, capacity=capacity, coming=coming)
                first = first._replace(archives=goes)
            first = first._replace(leftovers=(*first.leftovers, *left))
        except TempError as error:
            problem = Problem(str(place), str(error))
            first = first._replace(problems=(*first.problems, problem))
    return first


def _moves(archive: Path | None, root: Path) -> bool:
    """Whether what is archived comes to lie on another filesystem."""
    return archive is not None and _device(archive) != _device(root)


def _places(root: Path, archive: Path | None) -> Iterator[Path]:
    """Where what was cleaned from `root` may lie: what can be undone, and the archive."""
    for place in (root / STORE / UNDO, archive):
        if place is not None and place.is_dir():
            yield place


def _device(path: Path) -> int:
    """The filesystem of `path`, or of the nearest parent that exists."""
    for directory in (path, *path.parents):
        with contextlib.suppress(OSError):
            return os.stat(directory).st_dev
    return 0


def execute(
    plan: Plan,
    *,
    archive: Path | None = None,
    archive_format: ArchiveFormat = "dir",
    on_outcome: OnOutcome | None = None,
    on_freed: Freed | None = None,
    workers: int | None = None,
    background: bool = False,
    face: str = "",
) -> Report:
    """Carry `plan` out and return what became of each step.

    First finishes what killed sweeps left. Each entry is looked at again just before it is taken.
    `archive` is where the archive is, for steps that archive, as `archive_format`; what killed
    sweeps left there is finished as well. Deleting is shared among `workers`
    (at most; `None` is as many as the disk gains by, 1 is none): forked processes, or threads
    where the calling process has others. A KeyboardInterrupt leaves the few entries that are at
    work half-deleted in the holding area, for the next sweep to finish.

    In the `background` everything is claimed, and a process of its own deletes it after this has
    returned. Raises `Refused` where no such process can be started.

    What was done is remembered in the history of the root, as that of `face`: the task or the class
    that was called. If it cannot be, that is a problem that stops nothing.
    """
    background = background and bool(plan.steps or plan.archives)
    if background and not may_detach():
        raise Refused(
            "nothing can be left to the background here: that takes a fork, and so a process of "
            "which it can be told that it has no other threads"
        )
    root = Path(plan.root)
    if not check_root(root):
        gone = tuple(Outcome(step, "skipped", "is gone already") for step in plan.steps)
        return Report(plan=plan, outcomes=gone, problems=plan.problems)
    at, started = time.time(), time.monotonic()
    remover = Remover(workers, on_freed)
    so_far: list[Outcome] = []

    def note(outcome: Outcome) -> None:
        so_far.append(outcome)
        if on_outcome is not None:
            on_outcome(outcome)

    try:
        report = _execute(plan, archive, archive_format, note, remover, background)
    except BaseException:
        dropped = tuple(one for one in so_far if one.step.disposal in ("drop", "forget"))
        others = tuple(one for one in so_far if one.step.disposal not in ("drop", "forget"))
        report = Report(plan, others, dropped=dropped, background=background)
        _remember(report, face, at, started, remover, interrupted=True)
        raise
    problems = _remember(report, face, at, started, remover)
    return report._replace(problems=(*report.problems, *problems)) if problems else report


def _remember(
    report: Report,
    face: str,
    at: float,
    started: float,
    remover: Remover,
    *,
    interrupted: bool = False,
) -> tuple[Problem, ...]:
    """Add the sweep to the root's history, if there was something to do; what hindered that."""
    if not (report.plan.steps or report.finished or report.dropped):
        return ()
    from ..root.history import remember

    why = remember(
        report,
        face,
        at,
        time.monotonic() - started,
        interrupted=interrupted,
        freed_bytes=remover.freed_bytes,
    )
    return (Problem(f"{STORE}/{HISTORY}", why, blocking=False),) if why else ()


def _execute(
    plan: Plan,
    archive: Path | None,
    archive_format: ArchiveFormat,
    on_outcome: OnOutcome,
    remover: Remover,
    background: bool,
) -> Report:
    root = Path(plan.root)
    finished, left = (0, Removed()) if background else finish_leftovers(root, remover, archive)
    problems = list(plan.problems)
    for place in () if background else _places(root, archive):
        try:
            count, there = tidy(place, remover)
            finished += count
            left.add(there)
        except TempError as error:
            problems.append(Problem(str(place), str(error)))
    problems += [Problem(where, f"cannot be deleted: {what}") for where, what in left.failures]
    with contextlib.closing(_Sweep(plan, archive, archive_format, on_outcome, background)) as sweep:
        sweep.drop_archives(remover)
        if background:
            sweep.run_in_background(remover)
        else:
            sweep.run(remover)
    outcomes = tuple(sweep.outcomes[index] for index in range(len(plan.steps)))
    try:
        # Also where there was nothing else to do: of killed processes nothing else may be left.
        sweep.facts.leases.refresh()
        sweep.facts.leases.forget_dead()
        if outcomes or finished:
            forget_gone(root)
    except TempError as error:
        problems.append(Problem(STORE, str(error)))
    return Report(
        plan=plan,
        outcomes=outcomes,
        finished=finished,
        finished_bytes=left.freed_bytes,
        problems=tuple(problems),
        background=background,
        dropped=tuple(sweep.dropped),
        free=None if background or plan.wanted_free is None else free_bytes(root),
    )


class _Sweep:
    """The steps of one plan as they are carried out; to be closed, whatever happens."""

    def __init__(
        self,
        plan: Plan,
        archive: Path | None,
        archive_format: ArchiveFormat,
        on_outcome: OnOutcome,
        background: bool,
    ) -> None:
        self.plan = plan
        self.archive = archive
        self.archive_format = archive_format
        self.on_outcome = on_outcome
        self.facts = _Facts(Path(plan.root), foreign_for=plan.policy.foreign_for, batch=background)
        self.outcomes: dict[int, Outcome] = {}
        self.dropped: list[Outcome] = []
        self.background = background
        self._taken: dict[Claim, int] = {}
        """What is claimed, and the step that it is claimed for."""

    def drop_archives(self, remover: Remover) -> None:
        """Delete what the plan names of what can be undone, and of the archive; what goes because
        the disk is low only as long as it is.
        """
        if not self.plan.archives:
            return
        from ..archive.shelf import drop_all
        from ..archive.undo import is_over

        root, spared = self.facts.root, self.plan.policy.spare_in_use

        def objection(step: Step) -> str:
            if step.reason.rule != LOW_SPACE:
                if not is_over(root, step.entry.path, time.time()):
                    return "has been restored meanwhile"
            elif not self._is_low():
                return "enough is free by now"
            return users.inside(step.entry.path) if spared else ""

        by = None if self.background else remover
        for place, kind in ((root / STORE / UNDO, "forget"), (self.archive, "drop")):
            steps = [step for step in self.plan.archives if step.disposal == kind]
            if place is None or not steps:
                continue
            users = AtWork(place)
            for outcome in drop_all(place, steps, by, objection):
                self.dropped.append(outcome)
                self.on_outcome(outcome)

    def run(self, remover: Remover) -> None:
        """Carry all of them out; those that are deleted side by side, but for those that go only
        for want of space: each of them waits for what went before, which may have been enough.
        """
        by_turns = [step.reason.rule == LOW_SPACE for step in self.plan.steps]
        together = by_turns.index(True) if True in by_turns else len(by_turns)
        self._run(remover, range(together))
        for index in range(together, len(by_turns)):
            self._run(remover, range(index, index + 1))

    def _run(self, remover: Remover, indices: range) -> None:
        with contextlib.closing(remover.remove(self._take_all(indices))) as removals:
            for claim, removed in removals:
                index = self._taken[claim]
                outcome = _outcome(self.plan.steps[index], self.facts, claim.conclude(removed))
                self._let_go(claim)
                self._note(index, outcome)

    def run_in_background(self, remover: Remover) -> None:
        """Claim all of them, and have another process delete what was claimed."""
        claims: list[Claim] = []
        for claim in self._take_all(range(len(self.plan.steps))):
            claim.detach()
            index = self._taken[claim]
            step = self.plan.steps[index]
            self._note(index, _outcome(step, self.facts, Removed(), "being freed"))
            claims.append(claim)

        def delete() -> None:
            # The batch is locked by the descriptor that this process inherited.
            finish_leftovers(self.facts.root, remover, self.archive)
            for place in _places(self.facts.root, self.archive) if self.dropped else ():
                finish_leftovers(place, remover, is_archive=True)
            with contextlib.closing(remover.remove(claims)) as removals:
                for claim, removed in removals:
                    claim.conclude(removed)
            self.close()

        keep: set[int] = set()
        for claim in claims:
            keep |= {claim.top, claim.holding, *claim.locks}
            if claim.directory is not None:
                keep.add(claim.directory)
        if not keep and not self.dropped:
            return
        try:
            detach(delete, keep)
        except OSError:
            delete()  # there is no process to be had

    def _is_low(self) -> bool:
        """Whether less is free by now than the policy wants."""
        free, wanted = free_bytes(self.facts.root), self.plan.wanted_free
        return free is not None and wanted is not None and free < wanted

    def _take_all(self, indices: range) -> Iterator[Claim]:
        for index in indices:
            step = self.plan.steps[index]
            try:
                taken = self._take(step)
            except NotClaimed as reason:
                taken = Outcome(step, "failed" if reason.failed else "skipped", reason.detail)
            except NotDisposed as reason:
                taken = Outcome(step, "failed", str(reason))
            except (OSError, TempError) as error:
                taken = Outcome(step, "failed", str(error))
            if isinstance(taken, Claim):
                self._taken[taken] = index
                yield taken
            else:
                self._note(index, taken)

    def _take(self, step: Step) -> Claim | Outcome:
        """The entry, claimed to be deleted; or the outcome, where there is one already."""
        facts = self.facts
        rules = self.plan.policy.of(step.entry.category)
        if step.reason.rule == LOW_SPACE and not self._is_low():
            return Outcome(step, "skipped", "enough is free by now")
        objection = facts.objection(step, self.plan.policy)
        if objection:
            return Outcome(step, "skipped", objection)
        owner = own(str(facts.root))
        if owner is not None and step.entry.path in owner.live:
            facts.owned.add(step.entry.path)
        if step.disposal == "trash":
            return _trash(step, facts, self.plan.policy)
        if step.disposal == "archive":
            assert self.archive is not None, "a plan that archives needs the place to archive to"
            return _archive(step, self.plan.policy, facts, self.archive, self.archive_format)
        if step.disposal == "undo":
            area = facts.root / STORE / UNDO
            return _archive(step, self.plan.policy, facts, area, "dir", self.plan.undo_for)
        return _claim(step, facts, rules)

    def _note(self, index: int, outcome: Outcome) -> None:
        self.outcomes[index] = outcome
        self.on_outcome(outcome)

    def _let_go(self, claim: Claim) -> None:
        del self._taken[claim]
        claim.close()

    def close(self) -> None:
        """Give up what is still claimed, for the next sweep to finish."""
        for claim in tuple(self._taken):
            self._let_go(claim)
        self.facts.close()


class _Facts:
    """What may have changed since the plan was drawn, read anew as it is needed."""

    def __init__(
        self, root: Path, *, foreign_for: float | None = None, batch: bool = False
    ) -> None:
        self.root = root
        self._batch = batch
        self.leases = Leases(root, foreign_for)
        self.pins = Pins(root)
        self.owned: set[str] = set()
        """What of the steps was this process's own when it was taken. What is made under a name
        that has just gone, by another thread, keeps its lease."""
        self._area: HoldingArea | None = None
        self._inside: dict[str, Inside] = {}
        """What the last look saw inside of entries that may protect them."""
        self._hints: dict[str, str] = {}
        """What to do once they are gone."""
        self._busy: dict[str, Use] = {}
        self._looked_at = float("-inf")

    @property
    def area(self) -> HoldingArea:
        """The holding area, opened at first use."""
        if self._area is None:
            self._area = HoldingArea(self.root, batch=self._batch)
        return self._area

    def close(self) -> None:
        """Close what is open."""
        if self._area is not None:
            self._area.close()

    def give_up(self, entry: Entry) -> None:
        """End this process's lease on `entry`, which is no longer in its place, if it had one."""
        if entry.path in self.owned:
            self.owned.discard(entry.path)
            release(str(self.root), entry.path)

    def objection(self, step: Step, policy: Policy) -> str:
        """Why `step` must not be carried out any more; "" if it may."""
        entry = step.entry
        rules = policy.of(entry.category)
        if self.pinned(entry):
            return "has been pinned meanwhile"
        if rules.spare_in_use and (user := self._user_of(entry, rules)):
            return f"in use by {user}"
        if rules.everything or rules.abandoned:
            inside = self._names_inside(entry)
        else:
            (changed, where), inside = self._look_at(entry)
            if changed > entry.changed:
                return f"has changed meanwhile{f', in {where}' if where else ''}"
        self._inside[entry.path] = inside
        within = Within(self.root)
        if objection := self._within(within, entry, rules, self.root / entry.path):
            return objection
        if rules.spare_work and not rules.abandoned:
            if work := within.work_in(entry.path, inside):
                return f"holds unsaved work: {work}"
            self._hints[entry.path] = within.prune_hint(entry.path, inside)
        return ""

    def _within(self, within: Within, entry: Entry, rules: Policy, place: Path) -> str:
        """The pin or the lease of a root in `entry` that keeps it, which lies at `place` by now."""
        inside = self._inside.get(entry.path, Inside())
        if pin := within.pin_of(entry.path, place, inside):
            return f"holds what is pinned: {pin}"
        if not rules.spare_in_use:
            return ""
        changed = entry.changed
        if inside.roots and entry.partial:  # not all of it has been looked at
            with contextlib.suppress(NotClaimed):
                changed = max(changed, self.newest(entry)[0])
        use = within.use_of(entry.path, place, inside, time.time(), changed)
        return f"in use by {use.who}" if use and not (use.mine and rules.everything) else ""

    def pinned(self, entry: Entry) -> bool:
        """Whether there is a pin on `entry` now."""
        self.pins.refresh()
        return self.pins.of(entry.path) is not None

    def leased(self, entry: Entry, rules: Policy, *, in_place: bool = False) -> str:
        """Which process says now that it uses `entry`; "" if none does that `rules` spare."""
        self.leases.refresh()
        changed = entry.changed
        if in_place and self.leases.is_guessed(entry.path):
            changed = max(changed, self.newest(entry)[0])
        use = self.leases.use_of(entry.path, time.time(), changed)
        return use.who if use is not None and not (use.mine and rules.everything) else ""

    def protection(self, entry: Entry, rules: Policy, place: Path) -> str:
        """The pin or the lease that keeps `entry`, which was moved to `place` just now; "" if none.

        A root that was made in it after the look, in the instant before it was moved, is not seen:
        the race that is accepted here.
        """
        if self.pinned(entry):
            return "has been pinned meanwhile"
        if rules.spare_in_use and (user := self.leased(entry, rules)):
            return f"in use by {user}"
        return self._within(Within(self.root), entry, rules, place)

    def hint(self, step: Step) -> str:
        """What to do now that the entry is deleted; "" for nothing."""
        return self._hints.pop(step.entry.path, "") if step.disposal == "delete" else ""

    def _user_of(self, entry: Entry, rules: Policy) -> str:
        if who := self.leased(entry, rules, in_place=True):
            return who
        if time.monotonic() - self._looked_at > _PROCESS_CHECK_SECONDS:
            self._busy = busy_entries(self.root)
            self._looked_at = time.monotonic()
        busy = self._busy.get(entry.path)
        return busy.who if busy is not None else ""

    def newest(self, entry: Entry) -> tuple[float, str]:
        """When `entry` last changed inside, and where. Raises `NotClaimed` if that is hidden."""
        return self._look_at(entry)[0]

    def _names_inside(self, entry: Entry) -> Inside:
        with contextlib.suppress(OSError):
            return look_inside(self.area.top, entry.path)
        return Inside()

    def _look_at(self, entry: Entry) -> tuple[tuple[float, str], Inside]:
        try:
            return look_at(self.area.top, entry.path)
        except FileNotFoundError:
            raise NotClaimed("is gone already") from None
        except OSError as error:
            raise NotClaimed(reason_of(error), failed=True) from error


def _claim(step: Step, facts: _Facts, rules: Policy, area: HoldingArea | None = None) -> Claim:
    """The entry, claimed; given back if a pin or a lease came between the look and the rename."""
    entry = step.entry
    area = area or facts.area
    identity = (entry.device, entry.inode)
    claim = area.claim(entry.path, identity, despite_lock=not rules.spare_in_use)
    try:
        try:
            objection = facts.protection(entry, rules, Path(claim.place))
        except BaseException:
            claim.put_back()  # what stays claimed is deleted by the next sweep
            raise
        if objection:
            raise NotClaimed(f"{objection}{claim.put_back()}")
    except BaseException:
        claim.close()
        raise
    # Now, not when it is deleted: by then another thread may have made the next of that name.
    facts.give_up(entry)
    return claim


def _outcome(step: Step, facts: _Facts, removed: Removed, done: str = "") -> Outcome:
    if removed.failures:
        what = spell_failures(removed)
        return Outcome(step, "failed", f"{done}, but {what}" if done else what, removed.freed_bytes)
    facts.give_up(step.entry)
    return Outcome(step, "done", done or facts.hint(step), removed.freed_bytes)


def _archive(
    step: Step,
    policy: Policy,
    facts: _Facts,
    archive: Path,
    form: ArchiveFormat,
    undo_for: float | None = None,
) -> Outcome:
    """Archive an entry from its own place, or set it aside to be undone for that many seconds: a
    killed sweep is to leave it there, and whole.

    It is locked meanwhile. What was copied is claimed and deleted only if nothing in it changed
    since before the copy was made, and nothing protects it by now; otherwise the copy goes.
    """
    from ..archive.shelf import Deposit

    rules = policy.of(step.entry.category)
    deposit = Deposit(archive, form, facts.root, step, time.time(), undo_for)
    with contextlib.closing(deposit):
        with _locked(step, facts, not rules.spare_in_use):
            try:
                before = facts.newest(step.entry)
            except NotClaimed as reason:
                if reason.failed:
                    how = "archiving" if undo_for is None else "--undoable"
                    reason.detail += f"; or clean without {how}"
                raise
            moved = deposit.move()
            if not moved:
                deposit.pack()
        if moved:
            _check_moved(step, facts, deposit, before, rules)
            removed = Removed()
        else:
            objection = facts.objection(step, policy)
            if objection:
                raise NotClaimed(objection)
            removed = _hand_over(step, facts, deposit, before, rules)
    done = "" if undo_for is not None else f"archived as {deposit.target}"
    return _outcome(step, facts, removed, done)._replace(until=deposit.until)


def _check_moved(
    step: Step, facts: _Facts, deposit: Deposit, before: tuple[float, str], rules: Policy
) -> None:
    """Put back what was moved into the archive if it is not what was looked at, or if a pin or a
    lease came between the look and the rename.
    """
    status = at.stat(deposit.target, follow_symlinks=False)
    if (status.st_dev, status.st_ino) != (step.entry.device, step.entry.inode):
        where = deposit.undo_move()
        also = f", and what replaced it is {where}" if where else ""
        raise NotClaimed(f"was replaced at this moment{also}")
    try:
        objection = facts.protection(step.entry, rules, deposit.target)
    except BaseException:
        deposit.undo_move()
        raise
    if _newest(deposit.archive, deposit.target.name) != before:
        objection = "has changed while it was being archived"
    if objection:
        where = deposit.undo_move()
        also = f"; its place is taken, so it is {where} now" if where else ""
        raise NotClaimed(f"{objection}{also}")


def _newest(directory: Path | int, name: str) -> tuple[float, str] | None:
    """When that changed inside, and where; `None` if it cannot be told."""
    with contextlib.suppress(OSError):
        if isinstance(directory, int):
            return newest_change(directory, name)
        with contextlib.ExitStack() as stack:
            parent = at.open(str(directory), ROOT_FLAGS)
            stack.callback(at.close, parent)
            return newest_change(parent, name)
    return None


def _hand_over(
    step: Step, facts: _Facts, deposit: Deposit, before: tuple[float, str], rules: Policy
) -> Removed:
    """Delete the entry, whose copy is in the archive from the very instant when it is not needed
    here any more: a kill before leaves it to be put back, a kill after it to be deleted.
    """
    from ..archive import transfer

    entry = step.entry
    with contextlib.closing(HoldingArea(facts.root, batch=True)) as area:
        intent = transfer.Intent(
            "to archive", entry.path, str(deposit.archive), deposit.name, deposit.id, deposit.inode
        )
        # On a disk without room for that, a kill before the entry is deleted leaves two of it.
        has_room = transfer.begin(area, intent)
        if not has_room:
            deposit.publish()
        try:
            with contextlib.closing(_claim(step, facts, rules, area)) as claim:
                try:
                    if _newest(claim.holding, claim.held) != before:
                        raise NotClaimed("has changed while it was being copied")
                    if has_room:
                        deposit.publish()
                except BaseException as error:
                    elsewhere = claim.put_back()
                    if isinstance(error, NotClaimed):
                        error.detail += elsewhere
                    raise
                deposit.keep()
                if has_room:
                    transfer.end(area, claim)
                removed = claim.remove()
        finally:
            if has_room:
                transfer.cancel(area)
    if os.stat(deposit.archive).st_dev == entry.device:
        removed.freed_bytes = max(0, removed.freed_bytes - deposit.packed_bytes)
    return removed


def _trash(step: Step, facts: _Facts, policy: Policy) -> Outcome:
    """Trash an entry from its own place, so that the desktop can put it back there.

    It is locked meanwhile but not claimed: between the last look and the trash's own rename it
    can be replaced, and what replaced it is then in the trash, from where it can be restored.
    """

    def look_again() -> None:
        _check_still(step, facts)
        if objection := facts.objection(step, policy):
            raise NotClaimed(objection)

    with _locked(step, facts, not policy.of(step.entry.category).spare_in_use):
        send_to_trash(facts.root / step.entry.path, look_again)
    return _outcome(step, facts, Removed(), "in the trash, which frees no space")


def _check_still(step: Step, facts: _Facts) -> None:
    """Raise `NotClaimed` unless the entry is still in its place, and no link is on the way."""
    with _opened_at(step, facts) as (parent, name):
        status = at.stat(name, dir_fd=parent, follow_symlinks=False)
        by_path = at.stat(facts.root / step.entry.path, follow_symlinks=False)
    for found in (status, by_path):
        if (found.st_dev, found.st_ino) != (step.entry.device, step.entry.inode):
            raise NotClaimed("is no longer the one that was looked at")


@contextmanager
def _opened_at(step: Step, facts: _Facts) -> Iterator[tuple[int, str]]:
    """The open directory in which the entry lies, and its name. Raises `NotClaimed`."""
    *above, name = step.entry.path.split("/")
    try:
        with opened_in(facts.root, *above) as parent:
            yield parent, name
    except FileNotFoundError:
        raise NotClaimed("is gone already") from None
    except OSError as error:
        raise NotClaimed(reason_of(error), failed=True) from error


@contextmanager
def _locked(step: Step, facts: _Facts, despite_lock: bool) -> Iterator[None]:
    _check_still(step, facts)
    descriptor = _opened_entry(step, facts) if step.entry.kind == "directory" else None
    try:
        if descriptor is not None:
            free = lock_directory(facts.root, descriptor)
            if not free and not despite_lock:
                raise NotClaimed("in use: a process holds a lock (flock) on it")
        yield
    finally:
        if descriptor is not None:
            at.close(descriptor)


def _opened_entry(step: Step, facts: _Facts) -> int:
    """The open directory that the entry is."""
    with _opened_at(step, facts) as (parent, name):
        return at.open(name, DIRECTORY_FLAGS, dir_fd=parent)


# -- for the faces ------------------------------------------------------------------------------


def discard(root: str, relative: str, layout: Layout = SCRATCH) -> str:
    """Remove the entry of this process at `relative`; "" or why it could not be removed.

    Does nothing in a forked child, which did not make it, nor for an entry that is gone. What
    cannot be removed is no longer this process's, and goes with the next sweep; what is in its
    place but is no entry of `layout` is left alone.
    """
    owner = own(root)
    if owner is None or relative not in owner.live:
        return ""
    problem = ""
    path = os.path.join(root, relative)
    try:
        status = os.lstat(path)
        if layout.category and not layout.holds(
            relative, is_directory=stat.S_ISDIR(status.st_mode)
        ):
            raise NotClaimed("is not a directory any more, so it is left alone")
        with claimed(Path(root), relative, (status.st_dev, status.st_ino)) as claim:
            if user := _user_within(claim):
                raise NotClaimed(f"in use by {user}{claim.put_back()}", failed=True)
            removed = claim.remove()
        if removed.failures:
            problem = spell_failures(removed)
    except FileNotFoundError:
        pass
    except NotClaimed as reason:
        if reason.failed or os.path.lexists(path):
            problem = reason.detail
    except OSError as error:
        problem = reason_of(error)
    owner.release(relative)
    return problem


def _user_within(claim: Claim) -> str:
    """Which other process uses a root in what was claimed; "" if none does."""
    inside = look_inside(claim.holding, claim.held)
    if not inside.roots:
        return ""
    path, now = claim.path, time.time()
    use = Within(claim.root).use_of(path, Path(claim.place), inside, now, now)
    return use.who if use is not None and not use.mine else ""


def clean_abandoned(now: float, root: Path | None = None) -> Report | None:
    """Clean what killed processes of this user left among its auto-cleanup entries in `root`, which
    is that in the system's temporary directory if it is not said.
    """
    root = root or user_root()
    try:
        return execute(prepare(root, ABANDONED, now, sizes=False), face=_MANAGER)
    except TempError as error:
        _log.warning("cannot clean %s: %s", root, error)
        return None


def clean_root(root: Path, project: Path, max_age_hours: float | None, auto_root: Path) -> int:
    """Sweep `root` once, by the protections of `project`, and the auto-cleanup entries in
    `auto_root`; how many entries of `root` went. See `TempManager.clean_persistent_temps`.
    """
    from ..root.settings import load, with_limits_of

    if max_age_hours is not None:
        read_number(max_age_hours, "max_age_hours", "number of hours")
    limits = Policy(
        everything=max_age_hours is None,
        max_age=None if max_age_hours is None else max_age_hours * HOUR,
    )
    policy = with_limits_of(load(project).protections(), limits)
    now = time.time()
    report = execute(prepare(root, policy, now, sizes=False), face=_MANAGER)
    clean_abandoned(now, auto_root)
    return len(report.done)
