"""An archive in a directory: a shelf that entries are also copied or packed to."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core import fields
from ...core.archive_limits import NO_LIMITS, ArchiveLimits
from ...core.entry import Entry
from ...core.fields import Unreadable
from ...core.layouts import LAYOUT, OWNERS, PIPELINE, STORE
from ...errors import Refused, StorageError
from ..project.project import check_root
from ..settings.recorded_layout import layout_of
from ..shelf.listing import RUN, Archived, items_of, measured_from
from ..shelf.shelf import Shelf
from ..system import at
from ..system.opening import opened_in
from ..trees.contents import state

if TYPE_CHECKING:
    from ...core.plan import Step
    from ..shelf.belongs import Place
    from ..system.archive_formats import ArchiveFormat
    from ..trees.contents import Item
    from ..trees.removed import Removed
    from .archives import Part
    from .deposit import LocalDeposit


class Receipt(NamedTuple):
    """Identifies the entry archived as `name`: the `id` of its manifest and, unless 0, `inode`."""

    name: str
    id: str
    inode: int = 0

    def spell(self) -> str:
        """The text that `read_receipt` reads."""
        return json.dumps(self._asdict())


def read_receipt(text: str) -> Receipt:
    """The receipt in `text`. Raises `Unreadable`."""
    return receipt_in(fields.table(fields.parsed(os.fsencode(text))))


def receipt_in(table: Mapping[str, Any]) -> Receipt:
    """The receipt in a parsed table. Raises `Unreadable`."""
    name, identifier = fields.text(table, "name"), fields.text(table, "id")
    if name in ("", ".", "..") or "/" in name or os.sep in name:
        raise Unreadable(f"{name!r} is not a name in an archive")
    return Receipt(name, identifier, fields.whole(table, "inode", most=2**128))


class LocalArchive(Shelf):
    """The archive in the directory `path`."""

    is_near = True

    def __init__(self, path: Path, limits: ArchiveLimits = NO_LIMITS) -> None:
        super().__init__(path)
        self.limits = limits

    def is_at(self, location: str) -> bool:
        """Whether `location` is a path of this archive, in any spelling."""
        with contextlib.suppress(OSError):
            return os.path.samefile(location or os.curdir, self.path)
        return os.path.realpath(location) == os.path.realpath(self.path)

    def check(self) -> None:
        """Raise `Refused` if the directory cannot be trusted; see `check_root`."""
        with contextlib.suppress(StorageError):  # archiving an entry reports it
            check_root(self.path)

    def deposit(
        self, root: Path, step: Step, now: float, form: ArchiveFormat, part: Part | None = None
    ) -> LocalDeposit:
        """Begin to archive the entry of `step` in `root`; see `Archive`."""
        from .deposit import LocalDeposit

        return LocalDeposit(self.path, root, step, now, form, part)

    def contents(self, archived: Archived, *, contents: bool = True) -> Iterator[Item]:
        """The items of the archived entry; see `Archive`."""
        if archived.format == "dir":
            yield from items_of(self.path, archived, contents=contents)
            return
        from .tarring import unpacked

        with open(self.path / archived.data, "rb", opener=_plainly) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Refused("it is not a file")
            for item in unpacked(archived.format, file):
                # In another user's archive, the items are theirs; nobody must restore them with
                # any owner or group that this user chose.
                theirs = status.st_uid not in (0, os.geteuid() if hasattr(os, "geteuid") else 0)
                owner = (status.st_uid, status.st_gid) if theirs else item.owner
                yield item._replace(owner=owner)

    def drop(self, archived: Archived, state: object = None) -> Removed:
        """Delete the archived entry, and then its manifest; see `Archive`."""
        from ..shelf.dropping import drop

        return drop(self.path, archived, despite_lock=state is not None, before=state)

    def receipt(self, archived: Archived) -> str:
        """The text by which `find` finds it again."""
        return Receipt(archived.name, archived.id).spell()

    def find(self, receipt: str, root: Path) -> Archived | None:
        """The archived entry of that receipt, if it is there and unchanged; see `Archive`."""
        name, identifier, inode = read_receipt(receipt)
        named = [archived for archived in self.listed(root) if archived.name == name]
        for archived in named:
            if archived.id == identifier and inode in (0, archived.identity[1]):
                return archived
        for archived in named:
            if archived.problem:
                raise StorageError(0, f"{self.path / name}: {archived.problem}")
        return None

    def move(self, archived: Archived, place: Place) -> bool:
        """Move it to its place by one rename, and return whether that worked."""
        from ..shelf.putting import move

        return move(self.path, archived, place)

    def state(self, archived: Archived) -> object:
        """Its state, as of `contents`. Raises `Refused` if a process works in it."""
        from ..system.processes_in_directory import AtWork

        if who := AtWork(self.path).inside(archived.data):
            raise Refused(f"{archived.name} is {who}; end that first")
        with opened_in(self.path) as top:
            return state(top, archived.data)

    def check_usable(self) -> None:
        """Do nothing: an archive in a directory needs nothing."""

    def shares_disk(self, root: Path) -> bool:
        """Whether it is, or will be, on the disk of `root`."""
        return device_of(self.path) == device_of(root)

    def droppable(self, root: Path, *, proven: bool = False) -> list[Entry]:
        """The entries that came from `root` and may be deleted; see `Archive`.

        Entries without a manifest only count if an older script archived them. The name is taken as
        proof if `root` holds runs, git does not track the entry, and the archive is not itself a
        root.
        """
        if not self.path.is_dir():
            return []
        from ..scanning.tracked_entries import TrackedEntries  # most sweeps delete no archive

        tracked = TrackedEntries(self.path)
        is_root = any(os.path.lexists(self.path / STORE / part) for part in (LAYOUT, OWNERS))
        with_runs = layout_of(root) is PIPELINE and not is_root and not proven

        def is_one(archived: Archived) -> bool:
            if with_runs and self._is_bare_run(archived):
                return not tracked.inside(archived.data)
            return archived.came_from(root)

        # An entry changed after it was archived may be a user's work, which no limit removes.
        return [
            entry
            for archived, entry in measured_from(self.path, root, is_one)
            if archived.format != "dir" or entry.changed <= archived.archived_at
        ]

    def _is_bare_run(self, archived: Archived) -> bool:
        """Whether it is a run that an older script archived: no manifest, and not a symlink."""
        if archived.manifest is not None or archived.problem or not RUN.fullmatch(archived.data):
            return False
        with contextlib.suppress(FileNotFoundError):
            mode = at.stat(self.path / archived.data, follow_symlinks=False).st_mode
            return stat.S_ISDIR(mode) or stat.S_ISREG(mode)
        return False


def _plainly(path: str, flags: int) -> int:
    """Open a file without following a symlink or waiting for the writer of a FIFO."""
    more = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags | more)


def device_of(path: Path) -> int:
    """The device of `path`, or of its nearest existing parent."""
    for directory in (path, *path.parents):
        with contextlib.suppress(OSError):
            return os.stat(directory).st_dev
    return 0
