"""The functions that carry out each disposal of an entry, and the table of them.

The words for a disposal, and other facts about it, are in `core/disposal.py`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ...core.disposal import Disposal
from ...core.plan import Outcome, Step
from ..claiming.area import HoldingArea
from ..claiming.claim import Claim, NotClaimed
from ..claiming.many_removals import Remover
from ..claiming.trash import send_to_trash
from ..system.freedesktop import Trashed
from ..trees.removed import Removed
from .kept_files import check_none_kept, part_to_keep, take_or_thin
from .rechecks import Facts
from .taking import check_still, locked, opened_parent, outcome_of, take

if TYPE_CHECKING:
    from ..archive.archives import Archive, Deposit
    from ..system.archive_formats import ArchiveFormat


_MANY_SOCKETS: Final = 10
"""The most sockets named in a message about sockets that were not archived."""


class Means(NamedTuple):
    """The means with which a sweep executes its plan."""

    remover: Remover
    archive: Archive | None
    archive_format: ArchiveFormat
    undo_for: float
    """How many seconds a set-aside entry can be restored."""
    background: bool


Way = Callable[[Step, Facts, Means], Claim | Outcome]
"""Takes an entry: returns the claim if it still has to be deleted, or else the outcome.
Raises `NotClaimed`, `NotDisposed`, `OSError` or `TempError`; then the entry is still in its
place."""


def _delete(step: Step, facts: Facts, means: Means) -> Claim | Outcome:
    return take_or_thin(step, facts)


def _trash(step: Step, facts: Facts, means: Means) -> Outcome:
    """Trash an entry directly from its place, so that the desktop can restore it there.

    The entry is locked but not claimed, and checked again once it is in the trash.
    """

    def look_again(it: Trashed) -> None:
        if it.identity() != (step.entry.device, step.entry.inode):
            raise NotClaimed("was replaced at this moment")
        if objection := facts.protection(step.entry, Path(it.place)):
            raise NotClaimed(objection)

    with locked(step, facts), opened_parent(step, facts) as (parent, name):
        check_none_kept(step, facts)
        if objection := facts.objection(step):
            raise NotClaimed(objection)
        check_still(step, facts)
        send_to_trash(facts.root / step.entry.path, name, parent, look_again)
    return outcome_of(step, facts, Removed(), "in the trash, which frees no space")


def _archive(step: Step, facts: Facts, means: Means) -> Outcome:
    """Move or copy an entry to the archive.

    A copied entry is claimed and deleted only if nothing in it changed since before the copy, and
    nothing protects it; otherwise the copy is deleted.
    """
    from ..shelf.manifest import few_of

    assert means.archive is not None, "a plan that archives needs the archive"
    part = part_to_keep(step, facts)
    deposit = means.archive.deposit(facts.root, step, time.time(), means.archive_format, part)
    removed = Removed()
    with contextlib.closing(deposit):
        with _locked_to_leave(step, facts, "archiving") as before:
            moved = deposit.move()
            if not moved:
                deposit.pack()
        if moved:
            deposit.check_moved(before, lambda place: facts.protection(step.entry, place))
        elif objection := facts.objection(step):
            raise NotClaimed(objection)
        else:
            removed = _hand_over(step, facts, means.archive, deposit)
    sockets = ", ".join(few_of(deposit.left_out, _MANY_SOCKETS))
    left_out = f" without its sockets ({sockets})" if sockets else ""
    outcome = outcome_of(step, facts, removed, f"archived as {deposit.where}{left_out}")
    return outcome._replace(packed_bytes=deposit.packed_bytes)


def _set_aside(step: Step, facts: Facts, means: Means) -> Outcome:
    from ..shelf.set_aside import SetAside

    check_none_kept(step, facts)
    moving = SetAside(facts.root, step, time.time(), means.undo_for)
    with contextlib.closing(moving):
        with _locked_to_leave(step, facts, "--undoable") as before:
            moving.move()
        moving.check_moved(before, lambda place: facts.protection(step.entry, place))
    return outcome_of(step, facts, Removed())._replace(until=moving.until)


WAYS: Final[Mapping[Disposal, Way]] = {
    "delete": _delete,
    "trash": _trash,
    "archive": _archive,
    "undo": _set_aside,
}
"""Every disposal of an entry. "delete" only claims the entry; `Steps` deletes the claims."""


# -- into an archive, or aside ------------------------------------------------------------------


@contextlib.contextmanager
def _locked_to_leave(step: Step, facts: Facts, how: str) -> Iterator[tuple[float, str]]:
    """Hold a lock on an entry to be moved as a whole. Yields when and where it last changed.

    The entry stays in its place until it is moved, so that a killed sweep leaves it there whole.
    `how` names the option to clean without if the entry cannot be read.
    """
    with locked(step, facts):
        try:
            before = facts.newest(step.entry)
        except NotClaimed as reason:
            if reason.failed:
                reason.detail += f"; or clean without {how}"
            raise
        # Check again, since walking the entry may have taken long.
        if worker := facts.worker_in(step.entry):
            raise NotClaimed(worker)
        yield before


def _hand_over(step: Step, facts: Facts, archive: Archive, deposit: Deposit) -> Removed:
    """Delete the entry, and keep its copy from the moment when the original is no longer needed.

    After a kill before that moment, the entry is put back; after a later kill, it is deleted.
    """
    from ..archive import transfer
    from ..trees.contents import state

    entry, still = step.entry, False
    with contextlib.closing(HoldingArea(facts.root, batch=True)) as area:
        intent = transfer.Intent("to archive", entry.path, archive.location, deposit.receipt)
        # On a full disk there is no intent file: a kill before the deletion leaves two copies.
        has_room = transfer.begin(area, intent)
        if not has_room:
            deposit.publish()
        try:
            with contextlib.closing(take(step, facts, area)) as claim:
                try:
                    with contextlib.suppress(OSError):
                        still = state(claim.holding, claim.held) == deposit.state
                    if not still:
                        raise NotClaimed("has changed while it was being copied")
                    if has_room:
                        deposit.publish()
                except BaseException as error:
                    elsewhere = claim.put_back()
                    if isinstance(error, NotClaimed):
                        error.detail += elsewhere
                    raise
                deposit.keep()
                claim.condemn()
                if has_room:
                    transfer.end(area, claim)
                removed = claim.remove()
        finally:
            if has_room:
                transfer.cancel(area)
    if archive.shares_disk(facts.root):
        removed.freed_bytes = max(0, removed.freed_bytes - (deposit.packed_bytes or 0))
    return removed
