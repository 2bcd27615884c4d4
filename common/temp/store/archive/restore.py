"""Restores what was archived: verified, never over anything, and always whole in one place.

It is renamed if possible. Otherwise it is unpacked into the root's holding area, read again from
there and compared with the manifest, and put in its place by one rename; then it is deleted from
the archive. After a kill, the next sweep or the next restore finishes the work.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ...core.layout import FILES, JOBS, TEST, is_inside
from ...errors import InvalidSettings, Refused, StorageError
from ..claiming.area import HoldingArea
from ..claiming.claim import NotClaimed
from ..claiming.many import Remover
from ..project.project import check_root, open_root, root_of, user_root
from ..root.layouts import layout_of
from ..root.leases import Leases
from ..root.making import make_category, make_root
from ..root.pinning import remove_pin, write_pin
from ..system import at
from ..system.at import ANY_FLAGS
from ..system.locks import lock_directory
from ..system.opening import opened_in
from ..system.processes import AtWork
from ..system.renaming import rename_new
from ..trees.contents import Digest, Digester, digest, state, tree
from ..trees.removal import remove_at
from ..trees.removed import spell_failures
from ..trees.writing import dress, dress_held, held, write
from . import transfer
from .belongs import Place, opened_parent
from .dropping import drop
from .leftovers import finish_leftovers
from .manifest import Manifest
from .reservation import forget_manifest, forget_stale
from .shelf import Archived, contents_of, list_archive

_ENTRY: Final = "entry"


def find_archived(archives: Sequence[Path], name: str, project: Path) -> tuple[Path, Archived]:
    """The archived entry that a user calls `name`, and the one of `archives` it is in.

    `name` is its name or file there, the path that it had in its root or the last part of that, or
    its present path. Raises `InvalidSettings` if none matches, or several do.
    """
    found = [
        (archive, archived)
        for archive in archives
        for archived in list_archive(archive, root_of(project))
    ]
    for names_of in (_names, _last_names):
        named = [one for one in found if name in names_of(*one)]
        if len(named) == 1:
            return named[0]
        if named:
            raise InvalidSettings(f"{name} could be {_told_apart(named, found)}")
    there = " or ".join(map(str, archives))
    raise InvalidSettings(
        f"{name} is not in {there}; run `temp-restore --list` in the project that it was cleaned "
        "from"
    )


def _names(archive: Path, archived: Archived) -> tuple[str, ...]:
    # In roots without categories, one entry's path can be an older one's name here.
    path = "" if archived.manifest is None else archived.manifest.path
    return archived.name, archived.data, path, *_paths(archive, archived)


def _paths(archive: Path, archived: Archived) -> tuple[str, ...]:
    path = archive / archived.data
    return str(path), os.path.relpath(path)


def _last_names(archive: Path, archived: Archived) -> tuple[str, ...]:
    path = "" if archived.manifest is None else archived.manifest.path
    return (path.rpartition("/")[2],)


def _told_apart(
    named: Sequence[tuple[Path, Archived]], found: Sequence[tuple[Path, Archived]]
) -> str:
    """The names that tell each of those `named` from all that were `found`."""
    names = [archived.name for _, archived in named]
    if all(sum(name in _names(*one) for one in found) == 1 for name in names):
        return f"{' or '.join(names)}; give one of these names"
    return f"{' or '.join(_paths(*one)[0] for one in named)}; give one of these paths"


def restore(archive: Path, archived: Archived, place: Place) -> bool:
    """Put it in its place and remove it from `archive`. Returns whether it was pinned there.

    It counts as new from then on; otherwise the next clean would delete it. It is pinned where age
    does not matter: among jobs and the user's auto-cleanup entries, and where a service or a test
    run deletes what an earlier one recorded and left. Raises `StorageError` or `Refused` (the place
    is taken, it differs from its manifest, it is in use); then it is still in the archive.
    """
    if archived.problem or (archived.manifest is None and archived.format != "dir"):
        problem = archived.problem or "it has no manifest"
        raise Refused(f"{archived.name}: {problem}; look at it, and unpack it by hand")
    try:
        with _locked(archive, archived):
            _make_room(place)
            if os.path.lexists(place.full):
                raise Refused(f"{place.full} is there already; move it away first")
            goes_at_once = _goes_at_once(place)
            with _pinned(place) if goes_at_once else contextlib.nullcontext():
                if not _move(archive, archived, place):
                    _unpack(archive, archived, place)
            return goes_at_once
    except NotClaimed as reason:
        raise StorageError(0, f"cannot restore {archived.name}: {reason.detail}") from reason
    except OSError as error:
        raise StorageError.of(f"cannot restore {archived.name}", error) from error


def finish_killed(archive: Path, root: Path) -> None:
    """Finish what killed processes left in `archive` and `root`, as far as possible.

    Raises `StorageError` or `Refused` if one of them cannot be read.
    """
    remover = Remover()
    for directory in (root, archive):
        if (directory != root or check_root(root)) and directory.is_dir():
            finish_leftovers(directory, remover, archive, is_archive=directory != root)
    forget_stale(archive)


@contextlib.contextmanager
def _locked(archive: Path, archived: Archived) -> Iterator[None]:
    """Lock it, so that no other process deletes or restores it meanwhile."""
    top = open_root(archive)
    try:
        status = at.stat(archived.data, dir_fd=top, follow_symlinks=False)
        if (status.st_dev, status.st_ino) != archived.identity:
            raise StorageError(0, f"{archived.name} is no longer the one that was looked at")
        if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)) or not at.RELATIVE:
            yield
            return
        descriptor = at.open(archived.data, ANY_FLAGS, dir_fd=top)
        try:
            if not lock_directory(archive, descriptor):
                raise Refused(f"{archived.name} is in use: a process holds a lock (flock) on it")
            yield
        finally:
            at.close(descriptor)
    finally:
        at.close(top)


def _make_room(place: Place) -> None:
    """Make the root and the category. Raises `Refused` if the root now has another layout."""
    make_root(str(place.root), place.layout)
    if layout_of(place.root, is_scratch=True) is not place.layout:
        raise Refused(f"{place.root} now holds another kind of entries; move {place.path} by hand")
    category = place.path.rpartition("/")[0]
    if category:
        make_category(str(place.root), category)


def _goes_at_once(place: Place) -> bool:
    """Whether an unused entry there is deleted at any age."""
    if place.root == user_root() or place.layout is JOBS:
        return True
    if place.layout is not FILES and not is_inside(place.path, TEST):
        return False
    leases = Leases(place.root)
    leases.refresh()
    return leases.maker_of(place.path) is not None


@contextlib.contextmanager
def _pinned(place: Place) -> Iterator[None]:
    """Pin what is restored there, if it gets there."""
    write_pin(place.root, place.path, "restored", place.layout)
    try:
        yield
    finally:
        if os.path.lexists(place.full):
            # Again, since a sweep removes pins of entries that do not exist yet.
            write_pin(place.root, place.path, "restored", place.layout)
        else:
            remove_pin(place.root, place.path)


@contextlib.contextmanager
def _directory(place: Place) -> Iterator[int]:
    """The open directory that it belongs in, opened without following links."""
    with contextlib.ExitStack() as stack:
        try:
            directory, _ = stack.enter_context(opened_parent(place.root, place.path))
        except OSError as error:
            raise StorageError.of(f"cannot use {place.full.parent}", error) from error
        yield directory


def _put(source: str, parent: int, place: Place) -> None:
    """Rename it to its place. Raises `Refused` if something is there."""
    name = place.path.rpartition("/")[2]
    with _directory(place) as directory:
        try:
            rename_new(source, name, src_dir_fd=parent, dst_dir_fd=directory)
        except FileExistsError:
            raise Refused(f"{place.full} is there already; move it away first") from None
        if at.RELATIVE:
            os.fsync(directory)


def _move(archive: Path, archived: Archived, place: Place) -> bool:
    """Move it to its place by one rename, and return whether that worked."""
    if archived.format != "dir" or archived.identity[0] != os.stat(place.root).st_dev:
        return False
    manifest = archived.manifest
    if manifest is not None:
        items = contents_of(archive, archived, contents=manifest.has_contents)
        _verify(archive, archived, manifest, digest(items))
    top = open_root(archive)
    try:
        source = os.path.join(at.anchored(top, str(archive)), archived.data)
        with _renewed(source, place, None if manifest is None else manifest.mode):
            _put(archived.data, top, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    finally:
        at.close(top)
    forget_manifest(archive, archived.name)
    return True


def _unpack(archive: Path, archived: Archived, place: Place) -> None:
    """Put a copy that was compared in its place, and delete it from the archive.

    Not under a process that works there, and not what has changed there since it was copied.
    """
    if who := AtWork(archive).inside(archived.data):
        raise Refused(f"{archived.name} is {who}; end that first")
    with opened_in(archive) as top:
        before = state(top, archived.data)
    with contextlib.closing(HoldingArea(place.root, batch=True)) as area:
        directory = area.open()
        if directory is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        try:
            mode = _copy(archive, archived, area, directory)
            inode = at.stat(_ENTRY, dir_fd=directory, follow_symlinks=False).st_ino
            intent = transfer.Intent(
                "from archive", place.path, str(archive), archived.name, archived.id, inode
            )
            if not transfer.begin(area, intent):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            directory = area.open() or directory
            with _renewed(os.path.join(area.anchored, _ENTRY), place, mode):
                _put(_ENTRY, directory, place)
        except BaseException:
            if _ENTRY in os.listdir(area.anchored):  # otherwise it is already where it belongs
                transfer.end(area)
                remove_at(area.open() or directory, _ENTRY)
            raise
        try:
            removed = drop(archive, archived, despite_lock=True, before=before)
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


def _copy(archive: Path, archived: Archived, area: HoldingArea, directory: int) -> int:
    """Copy or unpack it into the holding area and verify the copy. Returns the entry's mode."""
    digester = Digester()
    try:
        items = digester.passing(contents_of(archive, archived))
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
    _verify(archive, archived, manifest, copied)
    return manifest.mode


def _verify(archive: Path, archived: Archived, manifest: Manifest, found: Digest) -> None:
    if not manifest.fits(found):
        what = (
            f"{found.files} files of {found.size} bytes in {found.directories} directories, not "
            f"{manifest.files} of {manifest.size} in {manifest.directories}"
            if found[:3] != (manifest.files, manifest.directories, manifest.size)
            else "as many files and bytes, but not the same"
        )
        raise Refused(
            f"{archived.name} is not restored: it is no longer what was archived ({what}); look at "
            f"{archive / archived.data}, and move it by hand{_hurry(manifest)}"
        )


def _hurry(manifest: Manifest) -> str:
    return "" if manifest.until is None else ", before a clean deletes it when its time is over"


@contextlib.contextmanager
def _renewed(source: str, place: Place, mode: int | None) -> Iterator[None]:
    """Give what is moved from `source` to its place its `mode`, and set its modification time to
    now. It is kept open, since another may take its path at any time.
    """
    if os.path.islink(source) or not at.RELATIVE:
        yield
        with contextlib.suppress(OSError):  # of another user, or already gone
            status = os.lstat(place.full)
            own = stat.S_IMODE(status.st_mode) if mode is None else mode
            dress(str(place.full), own, time.time_ns(), link=stat.S_ISLNK(status.st_mode))
        return
    with held(source) as it:
        yield
        _renew(it, mode)


def _renew(it: str, mode: int | None) -> None:
    with contextlib.suppress(OSError):  # of another user
        own = stat.S_IMODE(os.stat(it).st_mode) if mode is None else mode
        dress_held(it, own, time.time_ns())
