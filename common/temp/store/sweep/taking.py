"""Takes one entry of a plan: by a claim, or by a lock in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...core.disposal import DISPOSALS
from ...core.plan import Outcome, Step
from ...errors import reason_of
from ..claiming.area import HoldingArea
from ..claiming.claim import Claim, NotClaimed
from ..system import at
from ..system.at import ANY_FLAGS, DIRECTORY_FLAGS
from ..system.locks import lock_directory
from ..system.opening import opened_in
from ..trees.removed import Removed, spell_failures
from .rechecks import Facts


def take(
    step: Step, facts: Facts, area: HoldingArea | None = None, *, condemn: bool = True
) -> Claim:
    """Claim the entry of `step`. Raises `NotClaimed`.

    With `condemn`, an entry to be deleted is condemned: after a kill, the next sweep deletes it.
    Other entries are put back after a kill.

    If a pin or a lease appeared between the last check and the rename, or the entry changed during
    a long check, it is put back.
    """
    entry = step.entry
    area = area or facts.area
    identity = (entry.device, entry.inode)
    claim = area.claim(entry.path, identity, despite_lock=not facts.rules(entry).spare_in_use)
    claim.changed = entry.changed
    try:
        try:
            objection = facts.protection(entry, Path(claim.place)) or facts.changed_since(
                entry, claim.holding, claim.held
            )
        except BaseException:
            claim.put_back()  # otherwise it would stay claimed
            raise
        if objection:
            raise NotClaimed(f"{objection}{claim.put_back()}")
    except BaseException:
        claim.close()
        raise
    if condemn and DISPOSALS[step.disposal].is_final:
        claim.condemn()
    # Not after the deletion: by then, another thread may have made a new entry of that name.
    facts.give_up(entry)
    return claim


def outcome_of(step: Step, facts: Facts, removed: Removed, done: str = "") -> Outcome:
    """The outcome of a step: done, or failed if `removed` has failures."""
    if removed.failures:
        what = spell_failures(removed)
        return Outcome(step, "failed", f"{done}, but {what}" if done else what, removed.freed_bytes)
    facts.give_up(step.entry)
    return Outcome(step, "done", done or facts.hint(step), removed.freed_bytes)


@contextmanager
def locked(step: Step, facts: Facts) -> Iterator[None]:
    """Hold a lock on the entry in its place. Raises `NotClaimed` if it was replaced, or is locked
    by another process and the policy spares entries in use.
    """
    check_still(step, facts)
    descriptor = _opened_entry(step, facts)
    try:
        if descriptor is not None:
            free = lock_directory(facts.root, descriptor)
            if not free and facts.rules(step.entry).spare_in_use:
                raise NotClaimed("in use: a process holds a lock (flock) on it")
        yield
    finally:
        if descriptor is not None:
            at.close(descriptor)


def check_still(step: Step, facts: Facts) -> None:
    """Raise `NotClaimed` unless the entry is still in its place, and its path has no symlinks."""
    with opened_parent(step, facts) as (parent, name):
        status = at.stat(name, dir_fd=parent, follow_symlinks=False)
        by_path = at.stat(facts.root / step.entry.path, follow_symlinks=False)
    for found in (status, by_path):
        if (found.st_dev, found.st_ino) != (step.entry.device, step.entry.inode):
            raise NotClaimed("is no longer the one that was looked at")


@contextmanager
def opened_parent(step: Step, facts: Facts) -> Iterator[tuple[int, str]]:
    """The open directory that holds the entry, and the entry's name. Raises `NotClaimed`."""
    *above, name = step.entry.path.split("/")
    try:
        with opened_in(facts.root, *above) as parent:
            yield parent, name
    except FileNotFoundError:
        raise NotClaimed("is gone already") from None
    except OSError as error:
        raise NotClaimed(reason_of(error), failed=True) from error


def _opened_entry(step: Step, facts: Facts) -> int | None:
    """The open file or directory of the entry; `None` for an unreadable file or another kind."""
    flags = {"directory": DIRECTORY_FLAGS, "file": ANY_FLAGS}.get(step.entry.kind)
    if flags is None:
        return None
    with opened_parent(step, facts) as (parent, name):
        try:
            return at.open(name, flags, dir_fd=parent)
        except PermissionError:
            if step.entry.kind == "directory":
                raise
            return None
