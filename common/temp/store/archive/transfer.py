"""Transfers: entries on their way into an archive or back. A kill at any time leaves an entry whole
in one place.

Each transfer has its own directory in the root's holding area, with a file that says where the
entry comes from and where it goes. Unlike other leftovers it is not simply deleted: on the way into
an archive, only if the entry is whole there; on the way back, only if it is still there.
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
from ...core.layout import BATCH, PIPELINE, RUNS_ARCHIVE, STORE, TRANSFER, UNDO
from ...errors import TempError, reason_of, without_remedy
from ..claiming.area import NO_ROOM, HoldingArea
from ..claiming.claim import Claim, Held, NotClaimed
from ..project.project import find_project, user_root
from ..root.guard import is_gone
from ..root.layouts import layout_of
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.opening import opened_in
from ..system.reading import read_json
from .belongs import opened_parent
from .dropping import drop
from .shelf import Archived, is_archived, list_archive

Way: TypeAlias = Literal["to archive", "from archive"]

_INTENT: Final = "intent.json"
_WAYS: Final[tuple[Way, ...]] = ("to archive", "from archive")


class Intent(NamedTuple):
    """One transfer: which way, and between which places.

    The entry at `path` of a root goes into the directory `archive`, or comes from there. In the
    archive it has that `name` and `id`. `inode` is that of the packed entry that goes there, or of
    the entry that comes from there.
    """

    way: Way
    path: str
    archive: str
    name: str
    id: str
    inode: int = 0


def begin(area: HoldingArea, intent: Intent) -> bool:
    """Make the batch `area` a transfer, and return whether that worked; it fails on a full disk.

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


def settle(held: Held, archive: Path | None = None) -> str:
    """Finish a transfer that a killed process left. Returns "" if the rest of it can be deleted,
    else why it has to stay.

    Anybody may have put it there. So it must be a possible transfer of an entry of this root: to
    or from `archive`, the archive in its settings, or its undo area.
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
        is_there = _is_there(place, held.root, intent)
        if what:
            # Either way, the copy here goes if the entry is whole in the archive.
            return "" if is_there else _give_back(held, directory, what, intent)
        if intent.way == "from archive" and is_there:
            return _drop(held.root, place, intent)
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
    path, archive, name, identifier = (
        fields.text(table, key) for key in ("path", "archive", "name", "id")
    )
    return Intent(way, path, archive, name, identifier, fields.whole(table, "inode", most=2**128))


def _trusted(top: int) -> frozenset[int]:
    """The users whose transfers this user finishes: itself, and the superuser and the owner of the
    root directory, who can do more here anyway.
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
    if intent.name in ("", ".", "..") or "/" in intent.name or os.sep in intent.name:
        return f"its {_INTENT} names {intent.name!r}, which is not a name in an archive"
    return ""


def _archive_of(root: Path, intent: Intent, archive: Path | None) -> Path | None:
    """The archive of the transfer, if it belongs to this root."""
    for place in _archives(root, archive):
        if _is_same(Path(intent.archive), place):
            return place
    return None


def _archives(root: Path, archive: Path | None) -> Iterator[Path]:
    if archive is not None:
        yield archive
    yield root / STORE / UNDO
    if root == user_root():
        return  # everybody can write beside it
    project = find_project(root.parent, otherwise=root)
    if project != root:
        from ..root.loading import load

        yield load(project).archive_path()
    if layout_of(root) is PIPELINE:
        yield root / RUNS_ARCHIVE


def _is_same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)


def _elsewhere(intent: Intent) -> str:
    toward = "to" if intent.way == "to archive" else "back from"
    return (
        f"it was on its way {toward} {intent.archive}, which is not the archive of this root; if "
        "it is one of yours, clean with TEMPKEEP_ARCHIVE_LOCATION set to that, which finishes it, "
        f"else {_REMEDY}"
    )


def _is_there(archive: Path, root: Path, intent: Intent) -> bool:
    """Whether the entry of the transfer is whole in the archive."""
    if intent.way == "to archive":
        return is_archived(archive, intent.name, intent.id, intent.inode)
    return _found(archive, root, intent) is not None


def _found(archive: Path, root: Path, intent: Intent) -> Archived | None:
    for archived in list_archive(archive, root):
        if (archived.name, archived.id) == (intent.name, intent.id):
            return archived
    return None


def _give_back(held: Held, directory: int, what: str, intent: Intent) -> str:
    """Put it in its place; "" or where it is instead."""
    # By the open root: its path may lead to another directory now.
    with contextlib.ExitStack() as stack:
        payload = Held(held.root, directory, what, stack, held.top)
        payload.batch = held.held
        elsewhere = payload.give_place(intent.path)
    with contextlib.suppress(FileNotFoundError):
        at.stat(what, dir_fd=directory, follow_symlinks=False)
        return elsewhere.removeprefix("; ")
    return ""


def _drop(root: Path, archive: Path, intent: Intent) -> str:
    """Delete from the archive what was restored from there, if it is still where it was put.

    If it is not, or that is unknown, it stays in the archive. Returns "" or what failed.
    """
    archived = _found(archive, root, intent)
    manifest = None if archived is None else archived.manifest
    if archived is None or manifest is None:
        return ""
    its_root = os.path.realpath(manifest.root_from(archive))
    if (its_root, manifest.path) != (os.path.realpath(root), intent.path):
        return f"its {_INTENT} and the manifest of {intent.name} name two places; {_REMEDY}"
    try:
        with opened_parent(root, intent.path) as (parent, name):
            inode = at.stat(name, dir_fd=parent, follow_symlinks=False).st_ino
            if intent.inode not in (0, inode):  # an older version writes 0
                return ""
    except FileNotFoundError:
        return ""
    try:
        removed = drop(archive, archived)
    except NotClaimed as reason:
        return f"{archive / archived.data}: {reason.detail}"
    for where, what in removed.failures:
        return f"{archive / archived.data}/{where}".rstrip("/") + f": {what}"
    return ""
