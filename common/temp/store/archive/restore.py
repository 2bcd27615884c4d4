"""Restores archived entries: verified, without overwriting, and always whole in one place.

An entry is renamed if possible. Otherwise it is unpacked into the root's holding area, read again,
compared with the manifest, and put in its place by one rename; then it is deleted from the archive.
After a kill, the next sweep or the next restore finishes the work.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from ...core.labels import labelled, stamp_of
from ...core.layouts import FILES, JOBS, TEST, is_inside
from ...errors import InvalidSettings, Refused, StorageError
from ..claiming.area import HoldingArea
from ..claiming.claim import NotClaimed
from ..claiming.many_removals import Remover
from ..project.project import check_root, root_of, user_root
from ..root.carried_facts import record_carried
from ..root.leases import Leases
from ..root.making import make_category, make_root
from ..root.pinning import remove_pin, write_pin
from ..settings.recorded_layout import layout_of
from ..shelf import putting
from ..shelf.belongs import Place
from ..shelf.listing import Archived
from ..shelf.undo import UndoArea
from ..system import at
from ..trees.contents import Digester, digest, tree
from ..trees.removal import remove_at
from ..trees.removed import spell_failures
from ..trees.writing import write
from . import transfer
from .archives import Archive
from .leftovers import finish_root

Holder: TypeAlias = Archive | UndoArea
"""The places from which an entry can be restored."""

_ENTRY: Final = "entry"


def find_archived(holders: Sequence[Holder], name: str, project: Path) -> tuple[Holder, Archived]:
    """The archived entry that a user calls `name`, and the one of `holders` that it is in.

    `name` is its name or file there, the path that it had in its root or the last part of that, or
    its current path. Or it is a label, with or without a category: then the entry is the one with
    the newest stamp, if all that match are in one category. Raises `InvalidSettings` if none
    matches, or several do, and `StorageError` if none matches but a holder could not be read.
    """
    found: list[tuple[Holder, Archived]] = []
    unread: StorageError | None = None
    for holder in holders:
        try:
            found += [(holder, archived) for archived in holder.listed(root_of(project))]
        except StorageError as error:
            unread = error  # entries in the undo area can be restored without a network
    for names_of in (_names, _last_names):
        named = [one for one in found if name in names_of(one[1])]
        if len(named) == 1:
            return named[0]
        if named:
            raise InvalidSettings(f"{name} could be {_told_apart(named, found)}")
    named = [one for one in found if one[1].path and labelled(name, one[1].path)]
    last = max((stamp_of(archived.path) for _, archived in named), default=0)
    newest = [one for one in named if stamp_of(one[1].path) == last]
    if len(newest) == 1 and len({archived.path.rpartition("/")[0] for _, archived in named}) == 1:
        return newest[0]
    if named:
        raise InvalidSettings(f"{name} could be {_told_apart(named, found)}")
    if unread is not None:
        raise unread
    there = " or ".join(holder.location for holder in holders)
    raise InvalidSettings(
        f"{name} is not in {there}; run `temp-restore --list` in the project that it was cleaned "
        "from"
    )


def _names(archived: Archived) -> tuple[str, ...]:
    # In roots without categories, the path of an entry can be the name of an older one here.
    return (
        archived.name,
        archived.data,
        archived.path,
        archived.where,
        os.path.relpath(archived.where),
    )


def _last_names(archived: Archived) -> tuple[str, ...]:
    return (archived.path.rpartition("/")[2],)


def _told_apart(
    named: Sequence[tuple[Holder, Archived]], found: Sequence[tuple[Holder, Archived]]
) -> str:
    """The names, or else the paths, that distinguish each of `named` from all `found`."""
    names = [one.name for _, one in named]
    if all(sum(name in _names(one) for _, one in found) == 1 for name in names):
        return f"{' or '.join(names)}; give one of these names"
    return f"{' or '.join(one.where for _, one in named)}; give one of these paths"


def restore(holder: Holder, archived: Archived, place: Place) -> bool:
    """Put it in its place and remove it from `holder`. Returns whether it was pinned there.

    From then on it counts as new; otherwise the next clean would delete it. It is pinned if age
    does not protect it there: among jobs and the user's auto-cleanup entries, and where a service
    or a test run deletes what an earlier one left. Raises `StorageError` or `Refused` (the place is
    taken, it differs from its manifest, it is in use); then it is still in the archive.
    """
    if archived.problem or (archived.manifest is None and archived.format != "dir"):
        problem = archived.problem or "it has no manifest"
        raise Refused(f"{archived.name}: {problem}; look at it, and unpack it by hand")
    try:
        with holder.locked(archived):
            _make_room(place)
            if os.path.lexists(place.full):
                raise Refused(f"{place.full} is there already; move it away first")
            goes_at_once = _goes_at_once(place)
            with _pinned(place) if goes_at_once else contextlib.nullcontext():
                if isinstance(holder, UndoArea):
                    holder.move(archived, place)
                elif not holder.move(archived, place):
                    _unpack(holder, archived, place)
            if archived.manifest is not None:
                record_carried(place.root, place.path, archived.manifest.carried, place.layout)
            return goes_at_once
    except NotClaimed as reason:
        raise StorageError(0, f"cannot restore {archived.name}: {reason.detail}") from reason
    except OSError as error:
        raise StorageError.of(f"cannot restore {archived.name}", error) from error


def finish_killed(holder: Holder, root: Path) -> None:
    """Finish the leftovers of killed processes in `holder` and `root`, as far as possible.

    Raises `StorageError` or `Refused` if one of them cannot be read.
    """
    remover = Remover()
    if check_root(root) and root.is_dir():
        finish_root(root, remover, None if isinstance(holder, UndoArea) else holder)
    holder.tidy(remover)


def _make_room(place: Place) -> None:
    """Make the root and the category. Raises `Refused` if the root now has another layout."""
    make_root(str(place.root), place.layout)
    if layout_of(place.root, is_scratch=True) is not place.layout:
        raise Refused(f"{place.root} now holds another kind of entries; move {place.path} by hand")
    category = place.path.rpartition("/")[0]
    if category:
        make_category(str(place.root), category)


def _goes_at_once(place: Place) -> bool:
    """Whether an unused entry there is deleted regardless of its age."""
    if place.root == user_root() or place.layout is JOBS:
        return True
    if place.layout is not FILES and not is_inside(place.path, TEST):
        return False
    leases = Leases(place.root)
    leases.refresh()
    return leases.maker_of(place.path) is not None


@contextlib.contextmanager
def _pinned(place: Place) -> Iterator[None]:
    """Pin the entry to restore; if it does not get there, remove the pin."""
    write_pin(place.root, place.path, "restored", place.layout)
    try:
        yield
    finally:
        if os.path.lexists(place.full):
            # Pin it again: while the entry did not exist yet, a sweep may have removed the pin.
            write_pin(place.root, place.path, "restored", place.layout)
        else:
            remove_pin(place.root, place.path)


def _unpack(archive: Archive, archived: Archived, place: Place) -> None:
    """Put a verified copy in its place, and delete the entry from the archive.

    Fails if a process works in the archived entry, or if that has changed since it was copied.
    """
    state = archive.state(archived)
    with contextlib.closing(HoldingArea(place.root, batch=True)) as area:
        directory = area.open()
        if directory is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        try:
            mode = _copy(archive, archived, area, directory)
            inode = at.stat(_ENTRY, dir_fd=directory, follow_symlinks=False).st_ino
            receipt = archive.receipt(archived)
            intent = transfer.Intent("from archive", place.path, archive.location, receipt, inode)
            if not transfer.begin(area, intent):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            directory = area.open() or directory
            with putting.renewed(os.path.join(area.anchored, _ENTRY), place, mode):
                putting.put(_ENTRY, directory, place)
        except BaseException:
            if _ENTRY in os.listdir(area.anchored):  # otherwise it is already in its place
                transfer.end(area)
                remove_at(area.open() or directory, _ENTRY)
            raise
        try:
            removed = archive.drop(archived, state)
        except NotClaimed as reason:
            transfer.end(area)
            raise StorageError(
                0,
                f"{place.full} is in its place, but {archived.name} stays in the archive: it "
                f"{_spelled(reason.detail)}; look at both",
            ) from None
        if removed.failures:
            raise StorageError(
                0, f"it is in its place, but still in the archive: {spell_failures(removed)}"
            )
        transfer.end(area)


def _spelled(why: str) -> str:
    return f"is {why}" if why.startswith("in use") else why


def _copy(archive: Archive, archived: Archived, area: HoldingArea, directory: int) -> int:
    """Copy or unpack it into the holding area and verify the copy. Returns the entry's mode."""
    digester = Digester()
    try:
        items = digester.passing(archive.contents(archived))
        first = write(items, os.path.join(area.anchored, _ENTRY))
    except Refused as error:
        raise Refused(
            f"{archived.name} is not restored: {error}; look at it, and unpack it by hand"
        ) from error
    copied = digest(tree(directory, _ENTRY, afresh=True))
    if copied != digester.digest():
        raise StorageError(0, "the copy differs")
    manifest = archived.manifest
    if manifest is None:
        return first.mode
    if not manifest.has_contents:
        copied = digest(tree(directory, _ENTRY, contents=False))
    putting.verify(archived, copied)
    # What a file runs as was checked for the mode that was copied, not for that in the manifest.
    return manifest.mode & (0o1777 | first.mode) if first.kind == "file" else manifest.mode
