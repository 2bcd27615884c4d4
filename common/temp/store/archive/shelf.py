"""The archive: what is in there, each with a manifest beside it.

`debug__x_1696348800` (or `….tar.zst`) is an archived entry, `debug__x_1696348800.tempkeep.json` is
its manifest. The manifest is there first, and reserves the name; the entry comes by one rename, so
it is there whole or not at all. A manifest alone was left by a killed process, and counts for
nothing.

An archive has a holding area, as a root has: for what is being packed and what is being deleted,
locked by the process at work. What a killed process leaves there is deleted like any leftover.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ...core.entry import Entry
from ...core.layout import STORE, is_inside
from ...errors import Refused, StorageError
from ..project.project import open_root
from ..root.guard import check_store
from ..root.pinning import Pins
from ..system import at
from ..system.archive_formats import FORMATS, ArchiveFormat, suffix_of
from ..system.at import DIRECTORY_FLAGS
from ..trees.contents import Item, tree
from ..trees.measured import Measured
from ..trees.walk import measure
from .manifest import MANIFEST, Manifest, manifest_path, read_manifest

_OLD_PART: Final = re.compile(r"\.[0-9a-f]{16}\.part")
_HALF: Final = "an older version may have left it half-made"


class Archived(NamedTuple):
    """One archived entry: its name in the archive, and the name of the file or directory, `data`.

    Without a manifest it was put there by an older version, or by hand; with a `problem` the
    manifest cannot be used.
    """

    name: str
    data: str
    format: ArchiveFormat
    archived_at: float
    identity: tuple[int, int]
    manifest: Manifest | None = None
    problem: str = ""

    @property
    def id(self) -> str:
        """What tells it from anything else that may have its name later."""
        return f"inode {self.identity[1]}" if self.manifest is None else self.manifest.id


def list_archive(archive: Path, root: Path) -> list[Archived]:
    """What is in `archive`, the oldest first; nothing if there is no such directory.

    Where `root` itself lies in the archive's directory, all kinds of things may be there, and only
    what has a manifest counts. Raises `StorageError` if it cannot be read.
    """
    check_store(archive)
    try:
        names = set(os.listdir(archive))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError.of(f"cannot read {archive}", error) from error
    found: list[Archived] = []
    known = {STORE, ".gitignore"}
    for file in sorted(name for name in names if name.endswith(MANIFEST)):
        name = file.removesuffix(MANIFEST)
        manifest, problem = read_manifest(archive, name)
        for form in FORMATS if manifest is None else (manifest.format,):
            data = name + suffix_of(form)
            if data in names:
                found += _archived(archive, name, form, manifest, problem)
                known |= {file, data}
                break
        else:
            known.add(file)  # reserved, or left by a killed process
    if not is_inside(os.path.realpath(root), os.path.realpath(archive)):
        for name in names - known:
            if not name.startswith(STORE):
                # It stays: it may as well be somebody else's who chose such a name.
                problem = _HALF if _OLD_PART.fullmatch(name) else ""
                found += _archived(archive, name, "dir", None, problem)
    return sorted(found, key=lambda archived: (archived.archived_at, archived.name))


def _archived(
    archive: Path, name: str, form: ArchiveFormat, manifest: Manifest | None, problem: str
) -> Iterator[Archived]:
    data = name + suffix_of(form)
    with contextlib.suppress(FileNotFoundError):
        status = at.stat(archive / data, follow_symlinks=False)
        # A rename sets the time of the last change of status.
        when = os.lstat(archive / data).st_ctime if manifest is None else manifest.archived_at
        identity = (status.st_dev, status.st_ino)
        yield Archived(name, data, form, when, identity, manifest, problem)


def is_archived(archive: Path, name: str, identifier: str, inode: int) -> bool:
    """Whether an entry that was packed as that `inode` is whole in the archive under `name`, with a
    manifest of that id. If there is no such archive, it is not.

    Raises `OSError` if that cannot be told.
    """
    manifest, problem = read_manifest(archive, name)
    if manifest is None:
        if os.path.lexists(manifest_path(archive, name)):
            raise StorageError(0, f"{archive / name}: {problem}")
        return False
    with contextlib.suppress(FileNotFoundError):
        status = os.lstat(archive / f"{name}{suffix_of(manifest.format)}")
        return (manifest.id, status.st_ino) == (identifier, inode)
    return False


def contents_of(archive: Path, archived: Archived, *, contents: bool = True) -> Iterator[Item]:
    """The items of what was archived; see `tree`, for a directory. Raises `OSError` where that
    cannot be read, `Refused` where it is no such archive.
    """
    if archived.format != "dir":
        from .tarring import unpacked

        with open(archive / archived.data, "rb", opener=_plainly) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Refused("it is no file")
            for item in unpacked(archived.format, file):
                # Of another user's archive all is theirs: root could give it to anybody.
                owner = (status.st_uid, status.st_gid) if status.st_uid else item.owner
                yield item._replace(owner=owner)
        return
    parent = open_root(archive)
    try:
        yield from tree(parent, archived.data, contents=contents)
    finally:
        at.close(parent)


def _plainly(path: str, flags: int) -> int:
    """Open a file, but follow no link, nor wait for the writer of a FIFO."""
    more = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags | more)


# -- how much it takes ----------------------------------------------------------------------------


def droppable(archive: Path, root: Path) -> list[Entry]:
    """What may be deleted of `archive` to make room for `root`: the entries that came from there,
    measured, each with its place in the archive as `path`.

    Nothing if the archive is on another filesystem, where that would not help. Without a manifest
    nothing proves that it was archived at all.
    """
    try:
        if os.stat(archive).st_dev != os.stat(root).st_dev:
            return []
    except OSError:
        return []
    return [entry for _, entry in measured_from(archive, root, lambda manifest: True)]


def measured_from(
    archive: Path, root: Path, is_wanted: Callable[[Manifest], bool]
) -> list[tuple[Manifest, Entry]]:
    """The archived entries that came from `root` and whose manifest `is_wanted`, measured.

    Raises `StorageError` if the archive cannot be read.
    """
    pins = Pins(archive)
    real = os.path.realpath(root)
    found = []
    top = opened(archive)
    try:
        for archived in list_archive(archive, root):
            manifest = archived.manifest
            if manifest is None or os.path.realpath(manifest.root_from(archive)) != real:
                continue
            measured = measured_at(top, archived.data) if is_wanted(manifest) else None
            if measured is None:
                continue
            entry = Entry(
                path=archived.data,
                category=manifest.category,
                label=manifest.label,
                stamp=manifest.stamp,
                kind="directory" if archived.format == "dir" else "file",
                size=measured.size,
                shared=measured.shared,
                files=measured.files,
                directories=measured.directories,
                changed=archived.archived_at,
                pin=pins.of(archived.data),
                device=archived.identity[0],
                inode=archived.identity[1],
            )
            found.append((manifest, entry))
    finally:
        at.close(top)
    return found


def opened(archive: Path) -> int:
    """The open directory. Raises `StorageError`."""
    try:
        return open_root(archive)
    except OSError as error:
        raise StorageError.of(f"cannot read {archive}", error) from error


def measured_at(parent: int, name: str) -> Measured | None:
    """How much it takes; `None` if that cannot be told."""
    with contextlib.suppress(OSError):
        status = at.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            descriptor = at.open(name, DIRECTORY_FLAGS, dir_fd=parent)
            try:
                return measure(descriptor)
            finally:
                at.close(descriptor)
        measured = Measured()
        measured.size, measured.files = status.st_blocks * 512, 1
        return measured
    return None
