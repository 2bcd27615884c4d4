"""Listing a shelf: a local directory of entries, each with a manifest beside it.

`debug__x_1696348800` (or `….tar.zst`) is an archived entry, and `debug__x_1696348800.tempkeep.json`
is its manifest. The manifest is written first and reserves the name. The entry arrives by one
rename, so it is there whole or not at all. A manifest without an entry was left by a killed process
and does not count.

Like a root, a shelf has a holding area for entries that are being packed or deleted, locked by the
process at work. If that is killed, they are deleted like any leftover.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ...core.entry import CLOCK_SKEW, Entry
from ...core.layouts import PIPELINE, STORE, is_inside
from ...errors import StorageError
from ..project.project import open_root
from ..project.store_guard import check_store
from ..root.pinning import Pins
from ..system import at
from ..system.archive_formats import FORMATS, ArchiveFormat, suffix_of
from ..trees.contents import Item, tree
from ..trees.measured import NEVER, Measured
from ..trees.measured_path import measure_at
from .manifest import MANIFEST, Manifest, read_manifest

_OLD_PART: Final = re.compile(r"\.[0-9a-f]{16}\.part")
_HALF: Final = "an older version may have left it half-made"
RUN: Final = re.compile(
    rf"(?P<run>{PIPELINE.names})(?:\.tar|\.tar\.(?:gz|bz2|xz|zst)|\.tgz|\.zip)?", re.ASCII
)
"""A run, packed or not, as older scripts archive it under its own name."""


class Archived(NamedTuple):
    """One archived entry: its name in the archive, and its file or directory, `data`.

    Without a manifest, it was put there by an older version or by hand. With a `problem`, the
    manifest cannot be used. `where` is its location for display, and `root` the absolute path of
    the root that it was in, if its manifest says so.
    """

    name: str
    data: str
    format: ArchiveFormat
    archived_at: float
    identity: tuple[int, int]
    manifest: Manifest | None = None
    problem: str = ""
    where: str = ""
    root: Path | None = None

    @property
    def path(self) -> str:
        """The path that it had in its root; "" if unknown."""
        return "" if self.manifest is None else self.manifest.path

    @property
    def id(self) -> str:
        """An id that tells it from a later entry of the same name."""
        return f"inode {self.identity[1]}" if self.manifest is None else self.manifest.id

    def last(self, measured: Measured) -> float:
        """When it was archived or, if it has a manifest, last changed since."""
        if self.manifest is None:
            return self.archived_at
        return max(self.archived_at, measured.changed_ns / 1e9)

    def came_from(self, root: Path) -> bool:
        """Whether its manifest says that it was in `root`."""
        return self.root is not None and os.path.realpath(self.root) == os.path.realpath(root)


def list_shelf(shelf: Path, root: Path) -> list[Archived]:
    """The archived entries in `shelf`, oldest first; empty if the directory does not exist.

    If `root` is inside that directory, it may have other contents, and only entries with a manifest
    count. Raises `StorageError` if the shelf cannot be read.
    """
    check_store(shelf)
    try:
        names = set(os.listdir(shelf))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError.of(f"cannot read {shelf}", error) from error
    found: list[Archived] = []
    known = {STORE, ".gitignore"}
    for file in sorted(name for name in names if name.endswith(MANIFEST)):
        name = file.removesuffix(MANIFEST)
        manifest, problem = read_manifest(shelf, name)
        for form in FORMATS if manifest is None else (manifest.format,):
            data = name + suffix_of(form)
            if data in names:
                found += _archived(shelf, name, form, manifest, problem)
                known |= {file, data}
                break
        else:
            known.add(file)  # reserved, or left by a killed process
    if not is_inside(os.path.realpath(root), os.path.realpath(shelf)):
        for name in names - known:
            if not name.startswith(STORE):
                # It stays: it may be an unrelated file with such a name.
                problem = _HALF if _OLD_PART.fullmatch(name) else ""
                found += _archived(shelf, name, "dir", None, problem)
    return sorted(found, key=lambda archived: (archived.archived_at, archived.name))


def _archived(
    shelf: Path, name: str, form: ArchiveFormat, manifest: Manifest | None, problem: str
) -> Iterator[Archived]:
    data = name + suffix_of(form)
    with contextlib.suppress(FileNotFoundError):
        status = at.stat(shelf / data, follow_symlinks=False)
        when = _arrived(data, status) if manifest is None else manifest.archived_at
        identity = (status.st_dev, status.st_ino)
        root = None if manifest is None else manifest.root_from(shelf)
        where = str(shelf / data)
        yield Archived(name, data, form, when, identity, manifest, problem, where, root)


def _arrived(data: str, status: os.stat_result) -> float:
    """When an entry without a manifest was archived, as far as known: a rename sets its ctime.
    If a whole archive was copied, only the names of its runs preserve their order.
    """
    run = RUN.fullmatch(data)
    named = None if run is None else PIPELINE.arrival_of(run["run"])
    return status.st_ctime if named is None else min(named, status.st_ctime)


def items_of(shelf: Path, archived: Archived, *, contents: bool = True) -> Iterator[Item]:
    """The items of an unpacked archived entry; see `tree`. Raises `OSError`."""
    parent = open_root(shelf)
    try:
        yield from tree(parent, archived.data, contents=contents)
    finally:
        at.close(parent)


# -- measuring ------------------------------------------------------------------------------------


def measured_from(
    shelf: Path, root: Path, is_wanted: Callable[[Archived], bool]
) -> list[tuple[Archived, Entry]]:
    """The archived entries that are `is_wanted`, measured, with their place on the shelf as `path`.

    `changed` is when the entry was archived, or later if something in it was modified since. Raises
    `StorageError` if the shelf cannot be read.
    """
    pins, until = Pins(shelf), time.time() + CLOCK_SKEW
    found = []
    top = opened(shelf)
    try:
        for archived in list_shelf(shelf, root):
            measured = measured_at(top, archived.data, until) if is_wanted(archived) else None
            if measured is None:
                continue
            manifest = archived.manifest
            entry = Entry(
                path=archived.data,
                category=PIPELINE.category if manifest is None else manifest.category,
                label=PIPELINE.label if manifest is None else manifest.label,
                stamp=None if manifest is None else manifest.stamp,
                kind="directory" if measured.directories else "file",
                size=measured.size,
                links=measured.links,
                files=measured.files,
                directories=measured.directories,
                inodes=measured.inodes,
                changed=archived.last(measured),
                pin=pins.of(archived.data),
                device=archived.identity[0],
                inode=archived.identity[1],
            )
            found.append((archived, entry))
    finally:
        at.close(top)
    return found


def opened(shelf: Path) -> int:
    """A descriptor of the shelf. Raises `StorageError`."""
    try:
        return open_root(shelf)
    except OSError as error:
        raise StorageError.of(f"cannot read {shelf}", error) from error


def measured_at(parent: int, name: str, until: float | None = None) -> Measured | None:
    """The size on disk and newest change of `name`; `None` if it cannot be read.

    Modifications after `until` (seconds since 1970) are in the future.
    """
    try:
        return measure_at(parent, name, NEVER if until is None else int(until * 1e9))
    except OSError:
        return None
