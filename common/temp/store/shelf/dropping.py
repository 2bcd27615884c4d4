"""Deleting from a shelf: first the archived entry, then its manifest."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ...core.plan import Outcome, Step
from ...errors import TempError
from ..claiming.area import HoldingArea
from ..claiming.claim import NotClaimed
from ..claiming.many_removals import Remover
from ..root.leases import Leases
from ..root.pinning import Pins
from ..scanning.protections_inside import Within
from ..system import at
from ..system.locks import lock_file
from ..system.processes_in_directory import AtWork
from ..trees.contents import state
from ..trees.measured_path import look_inside
from ..trees.removed import Removed, spell_failures
from .listing import Archived
from .reservation import forget_manifest, forget_stale


def drop(
    shelf: Path,
    archived: Archived,
    *,
    despite_lock: bool = False,
    before: object = None,
) -> Removed:
    """Delete an archived entry and then its manifest, unless a process works in it.

    `before` is its state (see `contents.state`) before it was copied, if that matters. Raises
    `NotClaimed`, or `OSError` if it cannot be read.
    """
    with contextlib.closing(HoldingArea(shelf)) as area:
        if before is not None and state(area.top, archived.data) != before:
            raise NotClaimed("has changed since it was copied")
        # After that check, which takes long for large entries.
        if who := AtWork(shelf).inside(archived.data):
            raise NotClaimed(who)
        claim = area.claim(
            archived.data, archived.identity, despite_lock=despite_lock, is_decided=True
        )
        with contextlib.closing(claim):
            removed = claim.remove()
        if not removed.failures:
            forget_manifest(area.top, archived.name)
    return removed


def drop_all(
    shelf: Path,
    steps: Iterable[Step],
    remover: Remover | None,
    objection: Callable[[Step], str],
    *,
    spare_in_use: bool,
) -> Iterator[Outcome]:
    """Delete the entries of `steps` from `shelf`, one by one, and yield each outcome. An entry
    stays if there is an `objection` at that time, or with `spare_in_use`, if it is in use. Without
    a `remover`, entries are only moved aside, as leftovers.
    """
    users, leases = AtWork(shelf), Leases(shelf)
    with contextlib.ExitStack() as stack:
        try:
            area = stack.enter_context(contextlib.closing(HoldingArea(shelf)))
            pins = Pins(shelf)
        except (NotClaimed, TempError) as error:
            yield from (Outcome(step, "failed", str(error)) for step in steps)
            return
        # The lock keeps two concurrent cleans from each freeing enough for both.
        # The store is created first: without it, a process that tests a lock on an archive would
        # take turns by this same lock (see `locks`), and wait for it.
        with contextlib.suppress(NotClaimed):
            area.open()
        lock = os.open(shelf, os.O_RDONLY) if at.RELATIVE else -1
        if lock >= 0:
            stack.callback(os.close, lock)
            if not lock_file(lock):
                reason = "another clean is deleting archives now"
                yield from (Outcome(step, "skipped", reason) for step in steps)
                return
        for step in steps:
            pins.refresh()
            if why := objection(step):
                yield Outcome(step, "skipped", why)
            elif spare_in_use and (who := _user_of(step, leases, users)):
                yield Outcome(step, "skipped", who)
            elif pins.of(step.entry.path) is not None:
                yield Outcome(step, "skipped", "has been pinned meanwhile")
            elif why := _held_inside(step, shelf, area.top, spare_in_use=spare_in_use):
                yield Outcome(step, "skipped", why)
            else:
                yield _drop_one(step, area, remover)
    forget_stale(shelf)


def _user_of(step: Step, leases: Leases, users: AtWork) -> str:
    """A clause that says what uses it, by a lease or by working in it; "" if not in use."""
    leases.refresh()
    use = leases.use_of(step.entry.path, time.time(), step.entry.last)
    return f"in use: {use.who}" if use else users.inside(step.entry.path)


def _held_inside(step: Step, shelf: Path, top: int, *, spare_in_use: bool) -> str:
    """Why it must stay because of a root inside it (a pin, or a user of that root); else ""."""
    path = step.entry.path
    inside, within = look_inside(top, path), Within(shelf)
    if inside.unread:
        return f"cannot be looked into: {inside.unread}"
    if pin := within.pin_of(path, shelf / path, inside):
        return f"holds what is pinned: {pin}"
    changed = step.entry.changed
    use = within.use_of(path, shelf / path, inside, time.time(), changed) if spare_in_use else None
    return f"in use by {use.who}" if use else ""


def _drop_one(step: Step, area: HoldingArea, remover: Remover | None) -> Outcome:
    try:
        identity = (step.entry.device, step.entry.inode)
        claim = area.claim(step.entry.path, identity, is_decided=True)
    except NotClaimed as reason:
        return Outcome(step, "failed" if reason.failed else "skipped", reason.detail)
    removed = Removed()
    with contextlib.closing(claim):
        if remover is None:
            return Outcome(step, "done", "being freed")
        for _, found in remover.remove([claim]):
            removed = claim.conclude(found)
    if removed.failures:
        return Outcome(step, "failed", spell_failures(removed), removed.freed_bytes)
    return Outcome(step, "done", "", removed.freed_bytes)
