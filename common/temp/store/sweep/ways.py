"""How each disposal of an entry is carried out: one function each, and the table of them.

The words for a disposal, and what else others need to know of it, are in `core/disposal.py`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ...core.disposal import Disposal
from ...core.layout import STORE, UNDO
from ...core.plan import Outcome, Step
from ..claiming.area import HoldingArea
from ..claiming.claim import Claim, NotClaimed
from ..claiming.many import Remover
from ..claiming.trash import send_to_trash
from ..system import at
from ..system.at import ROOT_FLAGS
from ..trees.inside import newest_change
from ..trees.removed import Removed
from .facts import Facts
from .keeping import check_none_kept, part_to_keep, take_or_thin
from .taking import check_still, locked, outcome_of, take

if TYPE_CHECKING:
    from ..archive.deposit import Deposit
    from ..system.archive_formats import ArchiveFormat


class Means(NamedTuple):
    """What a sweep has to carry its plan out with."""

    remover: Remover
    archive: Path | None
    archive_format: ArchiveFormat
    undo_for: float
    """For how many seconds an entry that is set aside can be restored."""
    background: bool


Way = Callable[[Step, Facts, Means], Claim | Outcome]
"""Takes an entry: returns the claim if it still has to be deleted, or else the outcome.
Raises `NotClaimed`, `NotDisposed`, `OSError` or `TempError`; the entry is then where it was."""


def _delete(step: Step, facts: Facts, means: Means) -> Claim | Outcome:
    return take_or_thin(step, facts)


def _trash(step: Step, facts: Facts, means: Means) -> Outcome:
    """Trash an entry from its own place, so that the desktop can put it back there.

    It is locked meanwhile but not claimed. Accepted race: it can be replaced between the last look
    and the trash's own rename; what replaced it can be restored from the trash.
    """

    def look_again() -> None:
        check_still(step, facts)
        check_none_kept(step, facts)
        if objection := facts.objection(step):
            raise NotClaimed(objection)

    with locked(step, facts):
        send_to_trash(facts.root / step.entry.path, look_again)
    return outcome_of(step, facts, Removed(), "in the trash, which frees no space")


def _archive(step: Step, facts: Facts, means: Means) -> Outcome:
    from ..archive.deposit import Deposit

    assert means.archive is not None, "a plan that archives needs the place to archive to"
    form, now = means.archive_format, time.time()
    part = part_to_keep(step, facts)
    deposit = Deposit(means.archive, form, facts.root, step, now, part=part)
    removed = _put_in(deposit, step, facts, "archiving")
    left_out = f" without its sockets ({', '.join(deposit.left_out)})" if deposit.left_out else ""
    outcome = outcome_of(step, facts, removed, f"archived as {deposit.target}{left_out}")
    return outcome._replace(packed_bytes=deposit.packed_bytes)


def _set_aside(step: Step, facts: Facts, means: Means) -> Outcome:
    from ..archive.deposit import Deposit

    check_none_kept(step, facts)
    area = facts.root / STORE / UNDO
    deposit = Deposit(area, "dir", facts.root, step, time.time(), means.undo_for)
    removed = _put_in(deposit, step, facts, "--undoable")
    return outcome_of(step, facts, removed)._replace(until=deposit.until)


WAYS: Final[Mapping[Disposal, Way]] = {
    "delete": _delete,
    "trash": _trash,
    "archive": _archive,
    "undo": _set_aside,
}
"""Every disposal of an entry; deleting claims it, and `Steps` deletes what is claimed."""


# -- into an archive, or aside ------------------------------------------------------------------


def _put_in(deposit: Deposit, step: Step, facts: Facts, how: str) -> Removed:
    """Move or copy an entry into an archive from its own place; what deleting the original freed.

    It is locked meanwhile, and stays in its place, so that a killed sweep leaves it there whole.
    A copied entry is claimed and deleted only if nothing in it changed since before the copy and
    nothing protects it; otherwise the copy is deleted. `how` is what to clean without if the entry
    cannot be read.
    """
    with contextlib.closing(deposit):
        with locked(step, facts):
            try:
                before = facts.newest(step.entry)
            except NotClaimed as reason:
                if reason.failed:
                    reason.detail += f"; or clean without {how}"
                raise
            # Again, since that walk may have taken long.
            if worker := facts.worker_in(step.entry):
                raise NotClaimed(worker)
            moved = deposit.move()
            if not moved:
                deposit.pack()
        if moved:
            _check_moved(step, facts, deposit, before)
            return Removed()
        if objection := facts.objection(step):
            raise NotClaimed(objection)
        return _hand_over(step, facts, deposit)


def _check_moved(step: Step, facts: Facts, deposit: Deposit, before: tuple[float, str]) -> None:
    """Put back what was moved into the archive if it is not what was looked at, or if a pin, a
    lease or a process came between the look and the rename.
    """
    status = at.stat(deposit.target, follow_symlinks=False)
    if (status.st_dev, status.st_ino) != (step.entry.device, step.entry.inode):
        where = deposit.undo_move()
        also = f", and what replaced it is {where}" if where else ""
        raise NotClaimed(f"was replaced at this moment{also}")
    try:
        objection = facts.protection(step.entry, deposit.target)
    except BaseException:
        deposit.undo_move()
        raise
    if not objection and _newest(deposit.archive, deposit.target.name) != before:
        objection = "has changed while it was being archived"
    if objection:
        where = deposit.undo_move()
        also = f"; its place is taken, so it is {where} now" if where else ""
        raise NotClaimed(f"{objection}{also}")


def _hand_over(step: Step, facts: Facts, deposit: Deposit) -> Removed:
    """Delete the entry, and keep its copy from the very instant when the original is not needed.

    A kill before that instant leaves the entry to be put back, a kill after it to be deleted.
    """
    from ..archive import transfer
    from ..trees.contents import state

    entry, still = step.entry, False
    with contextlib.closing(HoldingArea(facts.root, batch=True)) as area:
        intent = transfer.Intent(
            "to archive", entry.path, str(deposit.archive), deposit.name, deposit.id, deposit.inode
        )
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
    if os.stat(deposit.archive).st_dev == entry.device:
        removed.freed_bytes = max(0, removed.freed_bytes - (deposit.packed_bytes or 0))
    return removed


def _newest(directory: Path, name: str) -> tuple[float, str] | None:
    """When and where `name` in `directory` last changed inside; `None` if that cannot be told."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        parent = at.open(str(directory), ROOT_FLAGS)
        stack.callback(at.close, parent)
        return newest_change(parent, name)
    return None
