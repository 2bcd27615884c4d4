"""Puts one entry into an archive in a directory: by a rename if possible, otherwise packed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ...core.layouts import HOLDING, STORE, is_inside
from ...core.plan import Step
from ..claiming.claim import NotDisposed
from ..project.project import check_root, find_project, where_it_leads
from ..shelf.dropping import drop
from ..shelf.listing import Archived
from ..shelf.moving import Move
from ..system import at
from ..system.archive_formats import ArchiveFormat, checked_format
from ..system.renaming import rename_new
from ..trees.contents import state
from ..trees.writing import dress, dress_held, held
from .archives import Part
from .local import Receipt, device_of
from .packing import DATA, Workbench
from .unmounted import check_mounted, note_disk


class LocalDeposit(Move):
    """One entry on its way into the archive in the directory `shelf`; see `Deposit`.

    `part` finds the part of the entry to archive, which is copied, never moved. Raises
    `InvalidSettings` for an unknown format.
    """

    is_done = "archived"
    instead = "choose another archive_location, or clean without archiving"

    def __init__(
        self,
        shelf: Path,
        root: Path,
        step: Step,
        now: float,
        form: ArchiveFormat,
        part: Part | None = None,
    ) -> None:
        super().__init__(shelf, root, step, now, form=checked_format(form))
        self._part = part
        self._bench: Workbench | None = None
        self.state = ""
        self.packed_bytes: int | None = None
        """The bytes that the copy takes on the archive's disk."""
        self._published = False

    @property
    def where(self) -> str:
        """Its path in the archive."""
        return str(self.target)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The sockets in it, which were not packed."""
        return tuple(self._source.left_out)

    @property
    def receipt(self) -> str:
        """The text by which the archive finds the packed entry, once it is in its place."""
        return Receipt(self.name, self.id, self._packed().inode).spell()

    def close(self) -> None:
        """Close all descriptors, and remove what was not kept."""
        with contextlib.ExitStack() as stack:
            if self._bench is not None:
                stack.callback(self._bench.close)
            super().close()

    def move(self) -> bool:
        """Move the entry there by one rename, and return whether that worked; if so, it is kept."""
        with self._failing():
            self._check_place()
            is_near = device_of(self.shelf) == self.step.entry.device
            check_mounted(self.shelf, self.root, shares_disk=is_near)
            _make_archive(self.shelf)
            if not is_near:
                note_disk(self.shelf, self.root)
            if self.form != "dir" or not is_near:
                return False
            with self._source.opened() as (parent, name):
                if self._part is not None and self._part(parent, name) is not None:
                    return False
            return self._renamed()

    def pack(self) -> None:
        """Copy or pack the entry into the archive's holding area, and compare the two."""
        with self._failing():
            with self._source.opened() as (parent, name):
                self.state = state(parent, name)
                # Only after taking the state, so that later changes are noticed.
                self._source.only = None if self._part is None else self._part(parent, name)
            self._bench = Workbench(self.shelf)
            found = self._bench.pack(self._source, self.form)
            self.packed_bytes = self._bench.packed_bytes
            self._reserve(found, has_contents=True)

    def publish(self) -> None:
        """Move the packed entry to its place in the archive."""
        first = self._source.first
        with self._failing():
            if self.form == "dir" and first.kind != "symlink":
                # Keep it open, since another directory may take its path at any time.
                with held(os.path.join(self._packed().place, DATA)) as it:
                    self._put()
                    dress_held(it, first.mode, first.mtime_ns)
            else:
                self._put()
                if self.form == "dir":
                    dress(str(self.target), 0, first.mtime_ns, link=True)
            _flush(self.shelf)

    def _put(self) -> None:
        work = self._packed().directory
        rename_new(DATA, self.target.name, src_dir_fd=work, dst_dir_fd=self._open_shelf())
        self._published = True

    def _packed(self) -> Workbench:
        assert self._bench is not None, "it was not packed"
        return self._bench

    def _check_place(self) -> None:
        above, _, name = str(self.root / self.step.entry.path).rpartition("/")
        entry = os.path.join(os.path.realpath(above), name)
        real, root = os.path.realpath(self.shelf), os.path.realpath(self.root)
        if is_inside(real, entry):
            raise NotDisposed(
                f"cannot be archived in {self.shelf}, which is inside it; choose another place"
            )
        if is_inside(real, root):
            top = os.path.relpath(real, root).split(os.sep)[0]
            if top == os.curdir or self._source.layout().holds(top, is_directory=True):
                raise NotDisposed(
                    f"cannot be archived in {self.shelf}, which is among the entries; "
                    "choose another archive_location"
                )

    def _spelled_root(self) -> str:
        """The path of the root for a manifest: relative if both belong to the same project."""
        real = os.path.realpath(self.shelf)
        if is_inside(real, os.path.realpath(self.root)):
            return super()._spelled_root()
        place = os.path.join(os.path.realpath(self.root.parent), self.root.name)
        project = os.path.realpath(find_project(self.root.parent))
        if is_inside(real, project) and is_inside(place, project):
            return os.path.relpath(place, real)
        return place

    def _withdraw(self) -> None:
        if not self._published:
            super()._withdraw()
            return
        self._published = False
        self._reservation.close()
        status = at.stat(self.target, follow_symlinks=False)
        identity = (status.st_dev, status.st_ino)
        drop(self.shelf, Archived(self.name, self.target.name, self.form, 0.0, identity))


def _make_archive(archive: Path) -> None:
    check_root(archive)
    if not archive.is_dir():
        archive.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), open(archive / ".gitignore", "x") as file:
            file.write("*\n")
    if where_it_leads(archive) is not None:
        # Behind a symlink, only this marks the target as an archive; an empty store means scratch.
        (archive / STORE / HOLDING).mkdir(parents=True, exist_ok=True)


def _flush(directory: Path) -> None:
    """Make the names in `directory` durable, if the platform can."""
    if at.RELATIVE:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
