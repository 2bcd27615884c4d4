"""Puts one entry into an archive: by a rename if possible, else packed."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from ...core.layout import HOLDING, PIPELINE, STORE, UNDO, Layout, is_inside, read_name
from ...core.plan import Step
from ...errors import StorageError, TempError, in_place, reason_of
from ..claiming.claim import NotClaimed, NotDisposed
from ..project.project import check_root, find_project, open_root, where_it_leads
from ..root.arrivals import keep_age
from ..root.guard import check_store
from ..root.layouts import layout_of
from ..root.parts import make_parts
from ..system import at
from ..system.archive_formats import ArchiveFormat, checked_format, suffix_of
from ..system.processes import spell_command
from ..system.renaming import rename_new
from ..trees.contents import Digest, digest, state
from ..trees.writing import dress, dress_held, held
from .dropping import drop
from .manifest import Manifest
from .packing import DATA, Source, Workbench
from .reservation import Reservation
from .shelf import Archived

Part: TypeAlias = Callable[[int, str], Callable[[str], bool] | None]
"""Called with the open directory that an entry is in, and its name; tells which paths in the entry
are archived, or `None` if all of it is."""


class Deposit:
    """One entry on its way into `archive`. Close it after use: that takes back what was not kept.

    `part` finds what of the entry is to be archived. A part is copied, never moved. With `undo_for`
    (seconds), `archive` is the undo area of the root, and the entry gets there by a rename or not
    at all. Each step raises `NotDisposed` if the entry cannot be archived; the entry is then where
    it was. Raises `InvalidSettings` for an unknown format.
    """

    def __init__(
        self,
        archive: Path,
        form: ArchiveFormat,
        root: Path,
        step: Step,
        now: float,
        undo_for: float | None = None,
        part: Part | None = None,
    ) -> None:
        self.archive = Path(os.path.abspath(archive))
        self.form = checked_format(form)
        self.root = root
        self.step = step
        self.id = os.urandom(8).hex()
        self.packed_bytes: int | None = None
        """How many bytes a copy of it takes on the archive's disk."""
        self.until = None if undo_for is None else now + undo_for
        """Until when it can be undone."""
        self._undo_for = undo_for
        self._part = part
        self._now = now
        self._source = Source(root, step.entry.path)
        self._reservation = Reservation(self.archive)
        self._bench: Workbench | None = None
        self._top = -1
        self.state = ""
        """Of what was packed: how the entry was right before that; see `contents.state`."""
        self._published = self._kept = False
        self._before: os.stat_result | None = None
        """The entry as it was before it was moved."""

    @property
    def name(self) -> str:
        """Its name in the archive, once it has one."""
        return self._reservation.name

    @property
    def inode(self) -> int:
        """The inode of what was packed but is not yet in its place."""
        return self._packed().inode

    @property
    def target(self) -> Path:
        """Its path in the archive, now or once it is there."""
        return self.archive / f"{self.name}{suffix_of(self.form)}"

    @property
    def left_out(self) -> tuple[str, ...]:
        """The sockets in it that were not packed."""
        return tuple(self._source.left_out)

    def close(self) -> None:
        """Close what is open, and take back what was not kept."""
        with contextlib.ExitStack() as stack:
            if self._top >= 0:
                stack.callback(at.close, self._top)
            stack.callback(self._reservation.close)
            if self._bench is not None:
                stack.callback(self._bench.close)
            if not self._kept:
                self._withdraw()

    def keep(self) -> None:
        """Keep it in the archive when this is closed."""
        self._kept = True

    def move(self) -> bool:
        """Move the entry there by one rename, and return whether that worked; if so, it is kept."""
        with self._failing():
            moved = self._move()
            if not moved and self.until is not None:
                raise StorageError(
                    errno.EXDEV, "it, or its category, is mounted from another filesystem"
                )
        return moved

    def _move(self) -> bool:
        self._check_place()
        if self.until is None:
            _make_archive(self.archive)
        else:
            check_store(self.root)
            make_parts(self.root, UNDO)
        if self.form != "dir" or os.stat(self.archive).st_dev != self.step.entry.device:
            return False
        with self._source.opened() as (parent, name):
            if self._part is not None and self._part(parent, name) is not None:
                return False
        self._reserve(digest(self._source.items(contents=False)), has_contents=False)
        self.keep()  # before the rename: afterwards it is the only copy
        try:
            with self._source.opened() as (parent, name):
                top = self._open_archive()
                self._before = at.stat(name, dir_fd=parent, follow_symlinks=False)
                rename_new(name, self.target.name, src_dir_fd=parent, dst_dir_fd=top)
        except OSError as error:
            self._kept = False
            self._keep_age()  # its permissions may have been changed
            self._withdraw()
            if error.errno != errno.EXDEV:
                raise
            return False
        return True

    def _open_archive(self) -> int:
        """The open archive directory, always the same one, even if its path is replaced."""
        if self._top < 0:
            self._top = open_root(self.archive)
        return self._top

    def undo_move(self) -> str:
        """Put the entry back; "" or where it is instead."""
        where = ""
        try:
            archive = open_root(self.archive)
            try:
                with self._source.opened() as (parent, name):
                    rename_new(self.target.name, name, src_dir_fd=archive, dst_dir_fd=parent)
            finally:
                at.close(archive)
        except OSError:
            where = str(self.target)
        self._keep_age()
        self._reservation.give_up()  # in either case: the manifest describes what was read
        return where

    def _keep_age(self) -> None:
        if self._before is not None:
            keep_age(self.root, self.step.entry.path, self._before)

    def pack(self) -> None:
        """Copy the entry, or pack it, into the archive's holding area, and compare the two."""
        with self._failing():
            with self._source.opened() as (parent, name):
                self.state = state(parent, name)
                # After that, so that what comes since then is noticed.
                self._source.only = None if self._part is None else self._part(parent, name)
            self._bench = Workbench(self.archive)
            found = self._bench.pack(self._source, self.form)
            self.packed_bytes = self._bench.packed_bytes
            self._reserve(found, has_contents=True)

    def publish(self) -> None:
        """Move what was packed to its place in the archive."""
        first = self._source.first
        with self._failing():
            if self.form == "dir" and first.kind != "symlink":
                # Kept open, since another directory may take its path at any time.
                with held(os.path.join(self._packed().place, DATA)) as it:
                    self._put()
                    dress_held(it, first.mode, first.mtime_ns)
            else:
                self._put()
                if self.form == "dir":
                    dress(str(self.target), 0, first.mtime_ns, link=True)
            _flush(self.archive)

    def _put(self) -> None:
        work = self._packed().directory
        rename_new(DATA, self.target.name, src_dir_fd=work, dst_dir_fd=self._open_archive())
        self._published = True

    def _packed(self) -> Workbench:
        assert self._bench is not None, "it was not packed"
        return self._bench

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Turn every error into `NotDisposed`, with what to do."""
        try:
            yield
        except (OSError, NotClaimed, TempError) as error:
            if isinstance(error, FileNotFoundError) and self._is_gone():
                raise NotClaimed("is gone already") from None
            reason = str(error)
            if isinstance(error, OSError) and not isinstance(error, TempError):
                # Inside the entry, files are opened relative to their directory.
                named = isinstance(error, PermissionError) and isinstance(error.filename, str)
                where = error.filename if named and not os.path.isabs(error.filename) else ""
                reason = in_place(reason_of(error), where)
            why, semicolon, remedy = reason.partition("; ")
            what, otherwise = (
                ("archived", "choose another archive_location, or clean without archiving")
                if self.until is None
                else ("set aside", "clean without --undoable")
            )
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                # That is what this clean is for.
                semicolon, remedy = "", ""
                otherwise += ", which frees the space of the entry"
            raise NotDisposed(
                f"cannot be {what} in {self.archive} ({why}); "
                f"{remedy}{semicolon and ', or '}{otherwise}"
            ) from error

    def _is_gone(self) -> bool:
        return not os.path.lexists(self.root / self.step.entry.path)

    def _check_place(self) -> None:
        above, _, name = str(self.root / self.step.entry.path).rpartition("/")
        entry = os.path.join(os.path.realpath(above), name)
        real, root = os.path.realpath(self.archive), os.path.realpath(self.root)
        if is_inside(real, entry):
            raise NotDisposed(
                f"cannot be archived in {self.archive}, which is inside it; choose another place"
            )
        if is_inside(real, root):
            top = os.path.relpath(real, root).split(os.sep)[0]
            if top == os.curdir or self._layout().holds(top, is_directory=True):
                raise NotDisposed(
                    f"cannot be archived in {self.archive}, which is among the entries; "
                    "choose another archive_location"
                )

    def _layout(self) -> Layout:
        entry = self.step.entry
        is_run = entry.category == PIPELINE.category and "/" not in entry.path
        return layout_of(self.root, is_scratch=not is_run)

    def _reserve(self, found: Digest, *, has_contents: bool) -> None:
        """Reserve a free name in the archive, for an entry with the digest `found`."""
        manifest = self._manifest(found, has_contents=has_contents)
        wanted = self.step.entry.path.replace("/", "__")
        self._reservation.take(self._open_archive(), wanted, manifest)

    def _manifest(self, found: Digest, *, has_contents: bool) -> Manifest:
        entry = self.step.entry
        label, stamp = read_name(entry.name)
        host = f" on {os.uname().nodename}" if hasattr(os, "uname") else ""
        return Manifest(
            id=self.id,
            format=self.form,
            root=_spell_root(self.archive, self.root),
            path=entry.path,
            category=entry.category,
            label=entry.label or label,
            stamp=entry.stamp if entry.stamp is not None else stamp,
            layout=self._layout().name,
            made_by=entry.made_by,
            archived_at=self._now,
            archived_by=f"pid {os.getpid()} ({spell_command(sys.orig_argv)}){host}",
            reasons=(str(self.step.reason),),
            changed_ns=self._source.first.mtime_ns,
            mode=self._source.first.mode,
            files=found.files,
            directories=found.directories,
            size=found.size,
            digest=found.hexdigest,
            has_contents=has_contents,
            undo_for=self._undo_for,
            left_out=self.left_out if has_contents else (),
        )

    def _withdraw(self) -> None:
        if self._published:
            self._published = False
            self._reservation.close()
            status = at.stat(self.target, follow_symlinks=False)
            identity = (status.st_dev, status.st_ino)
            drop(self.archive, Archived(self.name, self.target.name, self.form, 0.0, identity))
        else:
            self._reservation.give_up()


def _make_archive(archive: Path) -> None:
    check_root(archive)
    if not archive.is_dir():
        archive.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), open(archive / ".gitignore", "x") as file:
            file.write("*\n")
    if where_it_leads(archive) is not None:
        # If the path is a link, only this marks the target; an empty store would mark scratch.
        (archive / STORE / HOLDING).mkdir(parents=True, exist_ok=True)


def _spell_root(archive: Path, root: Path) -> str:
    """The path of the root for a manifest: relative if both belong to the same project."""
    real = os.path.realpath(archive)
    if is_inside(real, os.path.realpath(root)):
        return os.path.relpath(os.path.realpath(root), real)
    place = os.path.join(os.path.realpath(root.parent), root.name)
    project = os.path.realpath(find_project(root.parent))
    if is_inside(real, project) and is_inside(place, project):
        return os.path.relpath(place, real)
    return place


def _flush(directory: Path) -> None:
    """Make the names in `directory` durable, if the platform can."""
    if at.RELATIVE:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
