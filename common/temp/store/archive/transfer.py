"""Transfers: entries on their way into an archive or back. A kill at any time leaves an entry whole
in one place.

Each transfer has its own directory in the root's holding area, with a file that says where the
entry comes from and where it goes. Unlike other leftovers, a transfer is not simply deleted: on the
way into an archive, only if the entry is whole there; on the way back, only if it is still there.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from ...core import fields
from ...core.fields import Unreadable
from ...core.layouts import BATCH, PIPELINE, STORE, TRANSFER, UNDO
from ...errors import TempError, reason_of, without_remedy
from ..claiming.area import NO_ROOM, HoldingArea
from ..claiming.claim import Claim, Held, NotClaimed
from ..project.project import find_project, user_root
from ..project.store_guard import is_gone
from ..settings.recorded_layout import layout_of
from ..shelf.listing import Archived
from ..shelf.source import opened_parent
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.opening import opened_in
from ..system.reading import read_json
from .archives import Archive, archive_beside, archive_of
from .local import LocalArchive, receipt_in

Way: TypeAlias = Literal["to archive", "from archive"]

_INTENT: Final = "intent.json"
_WAYS: Final[tuple[Way, ...]] = ("to archive", "from archive")


class Intent(NamedTuple):
    """One transfer: its direction, and the two places.

    The entry at `path` of a root goes into the archive at the location `archive`, or comes from
    there. The `receipt` is made by the archive, which alone reads it, to find the entry. `inode` is
    the inode of an entry that comes from the archive.
    """

    way: Way
    path: str
    archive: str
    receipt: str
    inode: int = 0


def begin(area: HoldingArea, intent: Intent) -> bool:
    """Make the batch `area` a transfer; false if the disk is full.

    An entry that comes from an archive must already be whole in `area`. Raises `OSError` or
    `NotClaimed`.
    """
    directory = area.open()
    if directory is None:
        return False
    path = os.path.join(area.anchored, _INTENT)
    try:
        with open(path, "x", encoding="utf-8") as file:
            json.dump(intent._asdict(), file)
            file.flush()
            os.fsync(file.fileno())
        area.call_it(TRANSFER)
        if at.RELATIVE:
            os.fsync(directory)
    except OSError as error:
        _forget(area)
        if error.errno in NO_ROOM:
            return False
        raise
    return True


def end(area: HoldingArea, claim: Claim | None = None) -> None:
    """Make the batch an ordinary one, which the next clean deletes: the entry is whole elsewhere.

    A `claim` made into `area` stays valid.
    """
    area.call_it(BATCH)
    if claim is not None:
        claim.batch = area.batch
        claim.holding = area.open() or claim.holding
    _forget(area)


def cancel(area: HoldingArea) -> None:
    """Remove the record of the transfer, if its entry is back in its place."""
    directory = area.open()
    if directory is not None and at.listdir(directory) == [_INTENT]:
        _forget(area)


def _forget(area: HoldingArea) -> None:
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(area.anchored, _INTENT))


def settle(held: Held, archive: Archive | None = None) -> str:
    """Finish a transfer that a killed process left. Returns "" if the rest of it can be deleted,
    else why it has to stay.

    The transfer is untrusted. So it must be a plausible one for an entry of this root: to or from
    `archive`, the archive in its settings, or its undo area.
    """
    try:
        directory = at.open(held.held, DIRECTORY_FLAGS, dir_fd=held.holding)
    except OSError as error:
        return reason_of(error)
    try:
        names = [name for name in at.listdir(directory) if name != _INTENT]
        try:
            intent = _read(held.top, directory)
        except FileNotFoundError:
            return "nothing says where it belongs; move it away" if names else ""
        what = names[0] if names else ""
        if len(names) > 1:
            return f"holds {len(names)} things instead of one; {_REMEDY}"
        if why := _objection(held.root, directory, what, intent):
            return f"{why}; {_REMEDY}"
        place = _archive_of(held.root, intent, archive)
        if place is None:
            return _elsewhere(intent)
        archived = place.find(intent.receipt, held.root)
        if archived is not None and intent.way == "to archive" and archived.manifest is None:
            archived = None  # it was put there by something else
        if what:
            # In both directions, the copy here goes if the entry is whole in the archive.
            return "" if archived is not None else _give_back(held, directory, what, intent)
        if intent.way == "from archive" and archived is not None:
            return _drop(held.root, place, archived, intent)
        return ""
    except Unreadable as problem:
        why = without_remedy(str(problem))
        return f"nothing says where it belongs (its {_INTENT}: {why}); move it away"
    except (OSError, TempError) as error:
        why = str(error) if isinstance(error, TempError) else reason_of(error)
        return f"cannot tell whether it is in the archive: {why}"
    finally:
        at.close(directory)


_REMEDY: Final = "look at it, and move it away"


def _read(top: int, directory: int) -> Intent:
    """The transfer that the file describes. Raises `FileNotFoundError` or `Unreadable`."""
    owners = _trusted(top)
    if owners and at.fstat(directory).st_uid not in owners:
        raise Unreadable("the directory belongs to another user")
    table = fields.table(read_json(_INTENT, dir_fd=directory, owners=owners))
    way = next((way for way in _WAYS if way == table.get("way")), None)
    if way is None:
        raise Unreadable(f"way is not one of {', '.join(_WAYS)}")
    path, archive = fields.text(table, "path"), fields.text(table, "archive")
    inode = fields.whole(table, "inode", most=2**128)
    if "receipt" in table:
        return Intent(way, path, archive, fields.text(table, "receipt"), inode)
    # Written by an older version, which only had archives in directories.
    receipt = receipt_in({**table, "inode": inode if way == "to archive" else 0})
    return Intent(way, path, archive, receipt.spell(), inode)


def _trusted(top: int) -> frozenset[int]:
    """The users whose transfers this user finishes: itself, the superuser, and the owner of the
    root directory. The latter two could do worse here anyway.
    """
    if not hasattr(os, "geteuid"):
        return frozenset()
    return frozenset((0, os.geteuid(), at.fstat(top).st_uid))


def _objection(root: Path, directory: int, what: str, intent: Intent) -> str:
    """Why it cannot be a transfer of an entry of this root; "" if it can."""
    layout = layout_of(root)
    is_directory = not what or stat.S_ISDIR(
        at.stat(what, dir_fd=directory, follow_symlinks=False).st_mode
    )
    if not layout.may_hold(intent.path, is_directory=is_directory):
        return f"its {_INTENT} names {intent.path!r}, which is not a place for an entry"
    category = intent.path.rpartition("/")[0]
    if category and not is_gone(os.path.join(root, category)):
        try:
            with opened_in(root, category):
                pass
        except OSError as error:
            return f"its place is in {root / category}: {without_remedy(reason_of(error))}"
    return ""


def _archive_of(root: Path, intent: Intent, archive: Archive | None) -> Archive | None:
    """The archive of the transfer, if it belongs to this root."""
    return next((one for one in _archives(root, archive) if one.is_at(intent.archive)), None)


def _archives(root: Path, archive: Archive | None) -> Iterator[Archive]:
    if archive is not None:
        yield archive
    yield LocalArchive(root / STORE / UNDO)  # an older version could copy back from there
    if root == user_root():
        return  # its parent directory is writable by everyone
    project = find_project(root.parent, otherwise=root)
    if project != root:
        from ..settings.loading import load

        yield archive_of(load(project))
    if layout_of(root) is PIPELINE:
        yield archive_beside(root)


def _elsewhere(intent: Intent) -> str:
    toward = "to" if intent.way == "to archive" else "back from"
    return (
        f"it was on its way {toward} {intent.archive}, which is not the archive of this root; if "
        "it is one of yours, clean with TEMPKEEP_ARCHIVE_LOCATION set to that, which finishes it, "
        f"else {_REMEDY}"
    )


def _give_back(held: Held, directory: int, what: str, intent: Intent) -> str:
    """Put it in its place. Returns "", or where it is instead."""
    # Use the open root: its path may lead to another directory now.
    with contextlib.ExitStack() as stack:
        payload = Held(held.root, directory, what, stack, held.top)
        payload.batch = held.held
        elsewhere = payload.give_place(intent.path)
    with contextlib.suppress(FileNotFoundError):
        at.stat(what, dir_fd=directory, follow_symlinks=False)
        return elsewhere.removeprefix("; ")
    return ""


def _drop(root: Path, archive: Archive, archived: Archived, intent: Intent) -> str:
    """Delete a restored entry from the archive, if the restored one is still in its place.

    If it is not, or that is unknown, the archived one stays. Returns "", or what failed.
    """
    manifest = archived.manifest
    if manifest is None or archived.root is None:
        return ""
    its_root = os.path.realpath(archived.root)
    if (its_root, manifest.path) != (os.path.realpath(root), intent.path):
        return f"its {_INTENT} and the manifest of {archived.name} name two places; {_REMEDY}"
    try:
        with opened_parent(root, intent.path) as (parent, name):
            inode = at.stat(name, dir_fd=parent, follow_symlinks=False).st_ino
            if intent.inode not in (0, inode):  # an older version writes 0
                return ""
    except FileNotFoundError:
        return ""
    try:
        removed = archive.drop(archived)
    except NotClaimed as reason:
        return f"{archived.where}: {reason.detail}"
    for where, what in removed.failures:
        return f"{archived.where}/{where}".rstrip("/") + f": {what}"
    return ""
