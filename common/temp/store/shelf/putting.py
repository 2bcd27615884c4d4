"""Moving an entry to its place in a root by one rename, without replacing anything: verified from a
shelf, or from wherever it was created.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from ...errors import Refused, StorageError
from ..project.project import open_root
from ..system import at
from ..system.at import ANY_FLAGS
from ..system.locks import lock_directory
from ..system.renaming import rename_new
from ..trees.contents import Digest, digest
from ..trees.writing import dress, dress_held, held
from .belongs import Place
from .listing import Archived, items_of
from .manifest import Manifest
from .reservation import forget_manifest
from .source import opened_parent


def move(shelf: Path, archived: Archived, place: Place) -> bool:
    """Move `archived` from the shelf to its place by one rename; return `False` if it is packed, or
    on another filesystem.

    Raises `OSError`, and `Refused` if it does not match its manifest or the place is taken.
    """
    if archived.format != "dir" or archived.identity[0] != os.stat(place.root).st_dev:
        return False
    manifest = archived.manifest
    if manifest is not None:
        items = items_of(shelf, archived, contents=manifest.has_contents)
        verify(archived, digest(items))
    top = open_root(shelf)
    try:
        source = os.path.join(at.anchored(top, str(shelf)), archived.data)
        with renewed(source, place, None if manifest is None else manifest.mode):
            put(archived.data, top, place)
        forget_manifest(top, archived.name)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    finally:
        at.close(top)
    return True


@contextlib.contextmanager
def locked(shelf: Path, archived: Archived) -> Iterator[None]:
    """Lock `archived` until the block ends, so that no other process deletes or restores it."""
    top = open_root(shelf)
    try:
        status = at.stat(archived.data, dir_fd=top, follow_symlinks=False)
        if (status.st_dev, status.st_ino) != archived.identity:
            raise StorageError(0, f"{archived.name} is no longer the one that was looked at")
        if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)) or not at.RELATIVE:
            yield
            return
        descriptor = at.open(archived.data, ANY_FLAGS, dir_fd=top)
        try:
            if not lock_directory(shelf, descriptor):
                raise Refused(f"{archived.name} is in use: a process holds a lock (flock) on it")
            yield
        finally:
            at.close(descriptor)
    finally:
        at.close(top)


def verify(archived: Archived, found: Digest) -> None:
    """Raise `Refused` if the digest `found` does not match the manifest."""
    manifest = archived.manifest
    if manifest is None or manifest.fits(found):
        return
    what = (
        f"{found.files} files of {found.size} bytes in {found.directories} directories, not "
        f"{manifest.files} of {manifest.size} in {manifest.directories}"
        if found[:3] != (manifest.files, manifest.directories, manifest.size)
        else "as many files and bytes, but not the same"
    )
    raise Refused(
        f"{archived.name} is not restored: it is no longer what was archived ({what}); look at "
        f"{archived.where}, and move it by hand{_hurry(manifest)}"
    )


def _hurry(manifest: Manifest) -> str:
    return "" if manifest.until is None else ", before a clean deletes it when its time is over"


def put(source: str, parent: int, place: Place) -> None:
    """Rename `source` in the open `parent` to its place. Raises `Refused` if that is taken."""
    name = place.path.rpartition("/")[2]
    with _directory(place) as directory:
        try:
            rename_new(source, name, src_dir_fd=parent, dst_dir_fd=directory)
        except FileExistsError:
            raise Refused(f"{place.full} is there already; move it away first") from None
        if at.RELATIVE:
            os.fsync(directory)


@contextlib.contextmanager
def _directory(place: Place) -> Iterator[int]:
    """The directory of `place`, opened without following symlinks."""
    with contextlib.ExitStack() as stack:
        try:
            directory, _ = stack.enter_context(opened_parent(place.root, place.path))
        except OSError as error:
            raise StorageError.of(f"cannot use {place.full.parent}", error) from error
        yield directory


@contextlib.contextmanager
def renewed(source: str, place: Place, mode: int | None) -> Iterator[None]:
    """After the block has moved `source` to its place, set its `mode`, and its modification time to
    now. It is kept open meanwhile, since another file may take its path at any time.
    """
    if os.path.islink(source) or not at.RELATIVE:
        yield
        with contextlib.suppress(OSError):  # it belongs to another user, or is already gone
            status = os.lstat(place.full)
            own = stat.S_IMODE(status.st_mode) if mode is None else mode
            dress(str(place.full), own, time.time_ns(), link=stat.S_ISLNK(status.st_mode))
        return
    with held(source) as it:
        yield
        _renew(it, mode)


def _renew(it: str, mode: int | None) -> None:
    with contextlib.suppress(OSError):  # it belongs to another user
        own = stat.S_IMODE(os.stat(it).st_mode) if mode is None else mode
        dress_held(it, own, time.time_ns())
