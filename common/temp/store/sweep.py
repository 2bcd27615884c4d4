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
from typing import TypeAlias

from ..core.entry import Entry, Problem, Use
from ..core.layout import STORE
from ..core.plan import ALL, Disposal, Outcome, Plan, Report, Scope, Step, draft
from ..core.retention import Policy, judge
from ..core.units import HOUR, read_number
from ..errors import TempError
from . import lease
from .disposal import NotDisposed, archive_to, forget, send_to_trash
from .lease import Leases
from .pinning import Pins, forget_gone
from .project import check_root, root_of, user_root
from .removal import Claim, NotClaimed, Removed, claimed, finish_leftovers
from .scan import Progress, busy_entries, scan
from .walk import DIRECTORY_FLAGS, ROOT_FLAGS, newest_change

OnOutcome: TypeAlias = Callable[[Outcome], None]

ABANDONED = Policy(abandoned=True)
"""What holds for auto-cleanup entries: they were to go with their process, whatever the limits."""

_PROCESS_CHECK_SECONDS = 1.0
"""How old the last look at `/proc` may be when an entry is taken. A process that started to work
in an entry without a lease within this time is the race that is accepted here."""

_log = logging.getLogger(__name__)


def prepare(
    root: Path,
    policy: Policy,
    now: float,
    *,
    disposal: Disposal = "delete",
    scope: Scope = ALL,
    progress: Progress | None = None,
) -> Plan:
    """The plan of a sweep of `root`; nothing is written. Raises `StorageError` or `Refused`."""
    inventory = scan(root, now, progress=progress)
    verdicts = judge(inventory.entries, policy, now, free=inventory.free)
    return draft(inventory, verdicts, policy, now, disposal=disposal, scope=scope)


def execute(
    plan: Plan, *, archive: Path | None = None, on_outcome: OnOutcome | None = None
) -> Report:
    """Carry `plan` out and return what became of each step.

    First finishes what killed sweeps left. Each entry is looked at again just before it is taken.
    `archive` is where the archive is, for steps that archive. A KeyboardInterrupt leaves at most
    one entry half-deleted in the holding area, for the next sweep to finish.
    """
    root = Path(plan.root)
    if not check_root(root):
        gone = tuple(Outcome(step, "skipped", "is gone already") for step in plan.steps)
        return Report(plan=plan, outcomes=gone, problems=plan.problems)
    finished, leftovers = finish_leftovers(root)
    problems = [
        *plan.problems,
        *(Problem(where, f"cannot be deleted: {what}") for where, what in leftovers.failures),
    ]
    facts = _Facts(root)
    outcomes: list[Outcome] = []
    for step in plan.steps:
        outcome = _take(step, plan.policy, facts, archive)
        outcomes.append(outcome)
        if on_outcome is not None:
            on_outcome(outcome)
    if outcomes or finished:
        try:
            facts.leases.refresh()
            facts.leases.forget_dead()
            forget_gone(root)
        except TempError as error:
            problems.append(Problem(STORE, str(error)))
    return Report(
        plan=plan,
        outcomes=tuple(outcomes),
        finished=finished,
        finished_bytes=leftovers.freed_bytes,
        problems=tuple(problems),
    )


class _Facts:
    """What may have changed since the plan was drawn, read anew as it is needed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.leases = Leases(root)
        self._busy: dict[str, Use] = {}
        self._looked_at = float("-inf")

    def objection(self, step: Step, policy: Policy) -> str:
        """Why `step` must not be carried out any more; "" if it may."""
        entry = step.entry
        rules = policy.of(entry.category)
        if self.pinned(entry):
            return "has been pinned meanwhile"
        if rules.spare_in_use and (user := self._user_of(entry, rules)):
            return f"in use by {user}"
        if not (rules.everything or rules.abandoned):
            changed, where = self.newest(entry)
            if changed > entry.changed:
                return f"has changed meanwhile{f', in {where}' if where else ''}"
        return ""

    def pinned(self, entry: Entry) -> bool:
        """Whether there is a pin on `entry` now."""
        return Pins(self.root).of(entry.path) is not None

    def _user_of(self, entry: Entry, rules: Policy) -> str:
        self.leases.refresh()
        use = self.leases.use_of(entry.path, time.time(), entry.changed)
        if use is not None and not (use.mine and (rules.everything or rules.abandoned)):
            return use.who
        if time.monotonic() - self._looked_at > _PROCESS_CHECK_SECONDS:
            self._busy = busy_entries(self.root)
            self._looked_at = time.monotonic()
        busy = self._busy.get(entry.path)
        return busy.who if busy is not None else ""

    def newest(self, entry: Entry) -> tuple[float, str]:
        """When `entry` last changed inside, and where. Raises `NotClaimed` if that is hidden."""
        try:
            root = os.open(self.root, ROOT_FLAGS)
            try:
                return newest_change(root, entry.path)
            finally:
                os.close(root)
        except FileNotFoundError:
            raise NotClaimed("is gone already") from None
        except OSError as error:
            raise NotClaimed(error.strerror or str(error), failed=True) from error


def _take(step: Step, policy: Policy, facts: _Facts, archive: Path | None) -> Outcome:
    entry = step.entry
    despite_lock = not policy.of(entry.category).spare_in_use
    try:
        objection = facts.objection(step, policy)
        if objection:
            return Outcome(step, "skipped", objection)
        if step.disposal == "trash":
            return _trash(step, facts, despite_lock)
        if step.disposal == "archive":
            return _archive(step, policy, facts, archive)
        with _claimed(step, facts, despite_lock) as claim:
            return _outcome(step, facts, claim.remove())
    except NotClaimed as reason:
        return Outcome(step, "failed" if reason.failed else "skipped", reason.detail)
    except NotDisposed as reason:
        return Outcome(step, "failed", str(reason))
    except (OSError, TempError) as error:
        return Outcome(step, "failed", str(error))


@contextmanager
def _claimed(step: Step, facts: _Facts, despite_lock: bool) -> Iterator[Claim]:
    """The entry, claimed; given back if a pin came between the look and the rename."""
    entry = step.entry
    identity = (entry.device, entry.inode)
    with claimed(facts.root, entry.path, identity, despite_lock=despite_lock) as claim:
        try:
            pinned = facts.pinned(entry)
        except BaseException:
            claim.put_back()  # what stays claimed is deleted by the next sweep
            raise
        if pinned:
            raise NotClaimed(f"has been pinned meanwhile{claim.put_back()}")
        yield claim


def _outcome(step: Step, facts: _Facts, removed: Removed, done: str = "") -> Outcome:
    if removed.failures:
        what = spell_failures(removed)
        return Outcome(step, "failed", f"{done}, but {what}" if done else what, removed.freed_bytes)
    lease.release(str(facts.root), step.entry.path)
    return Outcome(step, "done", done, removed.freed_bytes)


def spell_failures(removed: Removed) -> str:
    """What could not be deleted, and why: the first, and how many more."""
    where, what = removed.failures[0]
    more = f", and {len(removed.failures) - 1} more" if len(removed.failures) > 1 else ""
    return f"{where}: {what}{more}" if where else f"{what}{more}"


def _archive(step: Step, policy: Policy, facts: _Facts, archive: Path | None) -> Outcome:
    """Archive an entry from its own place: held aside, a killed sweep's leftover would be deleted.

    It is locked meanwhile. What was copied is claimed and deleted only if nothing in it changed
    since before the copy was made, and nothing protects it by now; otherwise the copy goes.
    """
    assert archive is not None, "a plan that archives is executed with the place to archive to"
    entry = step.entry
    path = facts.root / entry.path
    despite_lock = not policy.of(entry.category).spare_in_use
    with _locked(step, facts, despite_lock):
        before = facts.newest(entry)
        target, moved = archive_to(path, archive, entry.path.replace("/", "__"))
    done = f"archived as {target}"
    if moved:
        status = os.lstat(target)
        if (status.st_dev, status.st_ino) != (entry.device, entry.inode):
            if os.path.lexists(path):
                raise NotClaimed(f"was replaced at this moment, and what replaced it is {target}")
            os.rename(target, path)
            raise NotClaimed("was replaced at this moment")
        return _outcome(step, facts, Removed(), done)
    try:
        objection = facts.objection(step, policy)
        if objection:
            raise NotClaimed(objection)
        with _claimed(step, facts, despite_lock) as claim:
            changed: object = None
            with contextlib.suppress(OSError):
                changed = newest_change(claim.holding, claim.held)
            if changed != before:
                raise NotClaimed(f"has changed while it was being copied{claim.put_back()}")
            removed = claim.remove()
    except NotClaimed:
        forget(target)
        raise
    return _outcome(step, facts, removed, done)


def _trash(step: Step, facts: _Facts, despite_lock: bool) -> Outcome:
    """Trash an entry from its own place, so that the desktop can put it back there.

    It is locked meanwhile but not claimed: between the last look and the trash's own rename it
    can be replaced, and what replaced it is then in the trash, from where it can be restored.
    """
    with _locked(step, facts, despite_lock):
        send_to_trash(facts.root / step.entry.path)
    return _outcome(step, facts, Removed(), "in the trash, which frees no space")


@contextmanager
def _locked(step: Step, facts: _Facts, despite_lock: bool) -> Iterator[None]:
    entry = step.entry
    path = facts.root / entry.path
    try:
        status = os.lstat(path)
        if (status.st_dev, status.st_ino) != (entry.device, entry.inode):
            raise NotClaimed("is no longer the one that was looked at")
        is_directory = stat.S_ISDIR(status.st_mode)
        descriptor = os.open(path, DIRECTORY_FLAGS) if is_directory else None
    except FileNotFoundError:
        raise NotClaimed("is gone already") from None
    except OSError as error:
        raise NotClaimed(error.strerror or str(error), failed=True) from error
    try:
        if descriptor is not None:
            free = lease.lock_directory(facts.root, descriptor)
            if not free and not despite_lock:
                raise NotClaimed("in use: a process holds a lock (flock) on it")
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


# -- for the faces ------------------------------------------------------------------------------


def discard(root: str, path: str) -> None:
    """Remove the entry of this process that holds `path`, at the end of its block.

    Does nothing in a forked child, which did not make it, nor for an entry that is gone. What
    cannot be removed is logged as a warning; the next sweep tries again.
    """
    category, name = path[len(root) + 1 :].split("/")[:2]
    relative = f"{category}/{name}"
    owner = lease.own(root)
    if owner is None or relative not in owner.live:
        return
    try:
        status = os.lstat(os.path.join(root, relative))
        with claimed(Path(root), relative, (status.st_dev, status.st_ino)) as claim:
            removed = claim.remove()
        if removed.failures:
            _log.warning("cannot remove %s: %s", path, spell_failures(removed))
    except FileNotFoundError:
        pass
    except NotClaimed as reason:
        if reason.failed or os.path.lexists(path):
            _log.warning("cannot remove %s: %s", path, reason.detail)
    except OSError as error:
        _log.warning("cannot remove %s: %s", path, error)
    owner.release(relative)


def clean_abandoned(now: float) -> Report | None:
    """Clean what killed processes of this user left among its auto-cleanup entries."""
    try:
        return execute(prepare(user_root(), ABANDONED, now))
    except TempError as error:
        _log.warning("cannot clean %s: %s", user_root(), error)
        return None


def clean_project(project: Path, max_age_hours: float | None = None) -> int:
    """Sweep the root of `project` once, and the user's auto-cleanup entries; how many entries of
    the project went. See `TempManager.clean_persistent_temps`.
    """
    from .settings import load, with_limits_of

    if max_age_hours is not None:
        read_number(max_age_hours, "max_age_hours", "number of hours")
    limits = Policy(
        everything=max_age_hours is None,
        max_age=None if max_age_hours is None else max_age_hours * HOUR,
    )
    policy = with_limits_of(load(project).protections(), limits)
    now = time.time()
    report = execute(prepare(root_of(project), policy, now))
    clean_abandoned(now)
    return len(report.done)
