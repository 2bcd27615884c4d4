"""The content of an archive: entries, each with a manifest beside it.

`debug__x_1696348800` (or `….tar.zst`) is an archived entry, and `debug__x_1696348800.tempkeep.json`
is its manifest. The manifest is written first and reserves the name. The entry comes by one rename,
so it is there whole or not at all. A manifest without an entry was left by a killed process and
does not count.

Like a root, an archive has a holding area for what is being packed or deleted, locked by the
process at work. What a killed process leaves there is deleted like any leftover.
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
from ...core.layout import LAYOUT, OWNERS, PIPELINE, STORE, is_inside
from ...errors import Refused, StorageError
from ..project.project import open_root
from ..root.guard import check_store
from ..root.layouts import layout_of
from ..root.pinning import Pins
from ..system import at
from ..system.archive_formats import FORMATS, ArchiveFormat, suffix_of
from ..trees.contents import Item, tree
from ..trees.inside import measure_at
from ..trees.measured import Measured
from .manifest import MANIFEST, Manifest, manifest_path, read_manifest

_OLD_PART: Final = re.compile(r"\.[0-9a-f]{16}\.part")
_HALF: Final = "an older version may have left it half-made"
_RUN: Final = re.compile(
    rf"(?P<run>{PIPELINE.names})(?:\.tar|\.tar\.(?:gz|bz2|xz|zst)|\.tgz|\.zip)?", re.ASCII
)
"""A run, or one that was packed: what older scripts archive under its own name."""


class Archived(NamedTuple):
    """One archived entry: its name in the archive, and its file or directory, `data`.

    Without a manifest, it was put there by an older version or by hand. With a `problem`, the
    manifest cannot be used.
    """

    name: str
    data: str
    format: ArchiveFormat
    archived_at: float
    identity: tuple[int, int]
    manifest: Manifest | None = None
    problem: str = ""
    mode: int = 0
    """What kind of file it is, as in `st_mode`."""

    @property
    def path(self) -> str:
        """The path that it had in its root; "" if that is not known."""
        return "" if self.manifest is None else self.manifest.path

    @property
    def id(self) -> str:
        """Tells it from anything that may have the same name later."""
        return f"inode {self.identity[1]}" if self.manifest is None else self.manifest.id


def list_archive(archive: Path, root: Path) -> list[Archived]:
    """The archived entries in `archive`, oldest first; empty if the directory does not exist.

    If `root` lies in the archive's directory, other things may be there, and only what has a
    manifest counts. Raises `StorageError` if the archive cannot be read.
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
                # It stays: it may be somebody else's file with such a name.
                problem = _HALF if _OLD_PART.fullmatch(name) else ""
                found += _archived(archive, name, "dir", None, problem)
    return sorted(found, key=lambda archived: (archived.archived_at, archived.name))


def _archived(
    archive: Path, name: str, form: ArchiveFormat, manifest: Manifest | None, problem: str
) -> Iterator[Archived]:
    data = name + suffix_of(form)
    with contextlib.suppress(FileNotFoundError):
        status = at.stat(archive / data, follow_symlinks=False)
        when = _arrived(data, status) if manifest is None else manifest.archived_at
        identity = (status.st_dev, status.st_ino)
        yield Archived(name, data, form, when, identity, manifest, problem, status.st_mode)


def _arrived(data: str, status: os.stat_result) -> float:
    """When something without a manifest came there, as far as can be told: a rename sets the change
    time. A whole archive that was copied has kept its order only in the names of the runs.
    """
    run = _RUN.fullmatch(data)
    named = None if run is None else PIPELINE.arrival_of(run["run"])
    return status.st_ctime if named is None else min(named, status.st_ctime)


def is_archived(archive: Path, name: str, identifier: str, inode: int) -> bool:
    """Whether an entry that was packed as that `inode` is whole in the archive as `name`, with a
    manifest of that id. False if the archive does not exist.

    Raises `OSError` if that is unknown.
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
    """The items of what was archived; for a directory, see `tree`. Raises `OSError` if it cannot be
    read, `Refused` if it is not a valid archive.
    """
    if archived.format != "dir":
        from .tarring import unpacked

        with open(archive / archived.data, "rb", opener=_plainly) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Refused("it is not a file")
            for item in unpacked(archived.format, file):
                # In another user's archive, all is theirs: otherwise root could give it to anybody.
                owner = (status.st_uid, status.st_gid) if status.st_uid else item.owner
                yield item._replace(owner=owner)
        return
    parent = open_root(archive)
    try:
        yield from tree(parent, archived.data, contents=contents)
    finally:
        at.close(parent)


def _plainly(path: str, flags: int) -> int:
    """Open a file without following a link or waiting for the writer of a FIFO."""
    more = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags | more)


# -- how much it takes ----------------------------------------------------------------------------


def droppable(archive: Path, root: Path) -> list[Entry]:
    """What may be deleted from `archive` to make room for `root`: the entries that came from there,
    measured, each with its place in the archive as `path`.

    Empty if the archive is on another filesystem, since that would not help. An entry without a
    manifest is among them only if `root` holds runs of a pipeline and it is named like one, since
    nothing else proves that it was archived; not one that git tracks. In another root, such a run
    is no archived one.
    """
    try:
        if os.stat(archive).st_dev != os.stat(root).st_dev:
            return []
    except OSError:
        return []
    from ..claiming.tracked_entries import TrackedEntries  # most sweeps delete no archive

    with_runs = layout_of(root) is PIPELINE and not any(
        os.path.lexists(archive / STORE / part) for part in (LAYOUT, OWNERS)
    )

    tracked = TrackedEntries(archive)

    def is_one(archived: Archived) -> bool:
        if with_runs and _is_bare_run(archived):
            return not tracked.inside(archived.data)
        return _came_from(archive, archived, root)

    return [entry for _, entry in _measured(archive, root, is_one)]


def measured_from(
    archive: Path, root: Path, is_wanted: Callable[[Manifest], bool]
) -> list[tuple[Manifest, Entry]]:
    """The measured archived entries that came from `root` and whose manifest `is_wanted`.

    Raises `StorageError` if the archive cannot be read.
    """

    def is_one(archived: Archived) -> bool:
        manifest = archived.manifest
        return manifest is not None and _came_from(archive, archived, root) and is_wanted(manifest)

    found = _measured(archive, root, is_one)
    return [(one.manifest, entry) for one, entry in found if one.manifest is not None]


def _came_from(archive: Path, archived: Archived, root: Path) -> bool:
    manifest = archived.manifest
    if manifest is None:
        return False
    return os.path.realpath(manifest.root_from(archive)) == os.path.realpath(root)


def _is_bare_run(archived: Archived) -> bool:
    """Whether it is a run that an older script archived: no manifest, and no link."""
    is_bare = archived.manifest is None and not archived.problem
    is_plain = stat.S_ISDIR(archived.mode) or stat.S_ISREG(archived.mode)
    return is_bare and is_plain and _RUN.fullmatch(archived.data) is not None


def _measured(
    archive: Path, root: Path, is_wanted: Callable[[Archived], bool]
) -> list[tuple[Archived, Entry]]:
    """What is archived and `is_wanted`, measured. Raises `StorageError`."""
    pins = Pins(archive)
    found = []
    top = opened(archive)
    try:
        for archived in list_archive(archive, root):
            measured = measured_at(top, archived.data) if is_wanted(archived) else None
            if measured is None:
                continue
            manifest = archived.manifest
            entry = Entry(
                path=archived.data,
                category=PIPELINE.category if manifest is None else manifest.category,
                label=PIPELINE.label if manifest is None else manifest.label,
                stamp=None if manifest is None else manifest.stamp,
                kind="directory" if stat.S_ISDIR(archived.mode) else "file",
                size=measured.size,
                links=measured.links,
                files=measured.files,
                directories=measured.directories,
                inodes=measured.inodes,
                changed=archived.archived_at,
                pin=pins.of(archived.data),
                device=archived.identity[0],
                inode=archived.identity[1],
            )
            found.append((archived, entry))
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
    """How much it takes on disk; `None` if unknown."""
    try:
        return measure_at(parent, name)
    except OSError:
        return None
