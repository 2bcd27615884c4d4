"""The archive: what was put there, each with a manifest beside it; and how it gets there.

`debug__x_1696348800` (or `….tar.zst`) is what was archived, `debug__x_1696348800.tempkeep.json` is
its manifest. That is there first, and reserves the name; what it speaks of comes by one rename, so
it is there whole or not at all. A manifest alone is what a killed process left, and says nothing.

An archive has a holding area, as a root has: what is being packed lies in there, and what is being
deleted, locked by whoever is at it. What a killed process leaves there is deleted as any leftover.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from ...core import fields
from ...core.entry import Entry
from ...core.fields import Unreadable
from ...core.layout import PIPELINE, SCRATCH, STORE, Layout, is_inside, read_name
from ...core.plan import ARCHIVE_FORMATS, ArchiveFormat, Outcome, Step
from ...errors import Refused, StorageError, TempError, in_place, reason_of, without_remedy
from ..claiming.claim import HoldingArea, NotClaimed
from ..claiming.disposal import NotDisposed
from ..claiming.many import Remover
from ..project.project import check_root, find_project, open_root, where_it_leads
from ..root.guard import check_store
from ..root.making import layout_of
from ..root.pinning import Pins
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.locks import lock_file
from ..system.processes import spell_command
from ..system.reading import read_json
from ..system.renaming import rename_new
from ..trees.contents import Digest, Digester, Item, chunks, digest, tree
from ..trees.measured import Measured
from ..trees.removal import remove_at
from ..trees.removed import Removed, spell_failures
from ..trees.walk import measure
from ..trees.writing import dress, dress_held, held, write

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MANIFEST: Final = ".tempkeep.json"
"""What the name of a manifest ends with."""

SUFFIXES: Final[dict[ArchiveFormat, str]] = {"dir": "", "tar.gz": ".tar.gz", "tar.zst": ".tar.zst"}

_SCHEMA: Final = 1
_BEGINS: Final = b'{\n  "schema": 1,\n  "kind": "archive",\n'
"""What tells a manifest, be it only begun, from what somebody else calls so."""

_BINARY: Final = getattr(os, "O_BINARY", 0)
_NAME_BYTES: Final = 225
"""So that a number, the suffix and that of a manifest fit into 255."""

_LONGEST_PATH: Final = 3500
"""So that it fits below any root into the 4096 bytes that systems take."""

_OLD_PART: Final = re.compile(r"\.[0-9a-f]{16}\.part")
_HALF: Final = "an older version may have left it half-made"
_DATA: Final = "data"
_NAMES: Final = "names"


class Manifest(NamedTuple):
    """What is said of one thing in an archive.

    `root` is where its entry was, as a path relative to the archive if both are of one project (so
    that they can be moved together), else an absolute one; `path` the entry's path in it. `size` is
    in bytes as they are read. The `digest` is over the contents only if those were read: what was
    archived by a rename was not. `mode` and `changed_ns` are those of the entry itself. `undo_for`
    is how many seconds what was set aside can be undone; what was archived has none.
    """

    id: str
    format: ArchiveFormat
    root: str
    path: str
    category: str
    label: str
    stamp: int | None
    layout: str
    made_by: str | None
    archived_at: float
    archived_by: str
    reasons: tuple[str, ...]
    changed_ns: int
    mode: int
    files: int
    directories: int
    size: int
    digest: str
    has_contents: bool
    undo_for: float | None = None

    @property
    def until(self) -> float | None:
        """Until when it can be undone, in seconds since 1970."""
        return None if self.undo_for is None else self.archived_at + self.undo_for

    def root_from(self, archive: Path) -> Path:
        """The absolute path of the root that the entry was in."""
        return Path(os.path.normpath(os.path.join(os.path.realpath(archive), self.root)))

    def fits(self, found: Digest) -> bool:
        """Whether that is the digest of what was archived."""
        return found == Digest(self.files, self.directories, self.size, self.digest)

    def spell(self) -> str:
        """The text of the file; names that are no UTF-8 are escaped by surrogates."""
        at_second = datetime.fromtimestamp(self.archived_at, UTC).isoformat(timespec="microseconds")
        said = {
            "schema": _SCHEMA,
            "kind": "archive",
            **self._asdict(),
            "archived_at": at_second.replace("+00:00", "Z"),
            "mode": f"{self.mode:04o}",
        }
        if self.undo_for is None:
            del said["undo_for"]
        return json.dumps(said, indent=2, ensure_ascii=True) + "\n"


class Archived(NamedTuple):
    """One thing in an archive: by what name it is called, and what lies there as `data`.

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


# -- what lies there ------------------------------------------------------------------------------


def list_archive(archive: Path, root: Path) -> list[Archived]:
    """What lies in `archive`, the oldest first; nothing if there is no such directory.

    Where the archive is a directory that `root` itself lies in, all kinds of things may be there,
    and only what has a manifest counts. Raises `StorageError` if it cannot be read.
    """
    check_store(archive)
    try:
        names = set(os.listdir(archive))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError.of(f"cannot read {archive}", error) from error
    found: list[Archived] = []
    spoken_for = {STORE, ".gitignore"}
    for file in sorted(name for name in names if name.endswith(MANIFEST)):
        name = file.removesuffix(MANIFEST)
        manifest, problem = _read_manifest(archive / file)
        for form in ARCHIVE_FORMATS if manifest is None else (manifest.format,):
            data = name + SUFFIXES[form]
            if data in names:
                found += _archived(archive, name, form, manifest, problem)
                spoken_for |= {file, data}
                break
        else:
            spoken_for.add(file)  # reserved, or left by a killed process
    if not is_inside(os.path.realpath(root), os.path.realpath(archive)):
        for name in names - spoken_for:
            if not name.startswith(STORE):
                # By its name alone it may as well be somebody else's, so it stays.
                problem = _HALF if _OLD_PART.fullmatch(name) else ""
                found += _archived(archive, name, "dir", None, problem)
    return sorted(found, key=lambda archived: (archived.archived_at, archived.name))


def _archived(
    archive: Path, name: str, form: ArchiveFormat, manifest: Manifest | None, problem: str
) -> Iterator[Archived]:
    data = name + SUFFIXES[form]
    with contextlib.suppress(FileNotFoundError):
        status = at.stat(archive / data, follow_symlinks=False)
        # A rename sets the time of the last change of status.
        when = os.lstat(archive / data).st_ctime if manifest is None else manifest.archived_at
        identity = (status.st_dev, status.st_ino)
        yield Archived(name, data, form, when, identity, manifest, problem)


def _read_manifest(path: Path) -> tuple[Manifest | None, str]:
    """The manifest, or why it is none."""
    try:
        said = fields.table(read_json(path))
        if fields.whole(said, "schema") != _SCHEMA or fields.text(said, "kind") != "archive":
            return None, "its manifest is of another version; update tempkeep"
        return _understood(said), ""
    except (FileNotFoundError, NotADirectoryError) as error:
        why = without_remedy(reason_of(error))
    except Unreadable as problem:
        if problem.error is None:
            return None, "its manifest is damaged"
        why = without_remedy(reason_of(problem.error))
    return None, f"its manifest cannot be read ({why})"


def _understood(said: Mapping[str, Any]) -> Manifest:
    """What a manifest says. Raises `Unreadable` unless all of it can be true."""
    form = next((form for form in ARCHIVE_FORMATS if form == said.get("format")), None)
    mode = fields.text(said, "mode")
    if form is None or not re.fullmatch("[0-7]{1,5}", mode) or int(mode, 8) > 0o7777:
        raise Unreadable("its format or its mode is none")
    try:
        archived_at = datetime.fromisoformat(fields.text(said, "archived_at")).timestamp()
    except (ValueError, OverflowError, OSError):
        raise Unreadable("archived_at is no time") from None
    return Manifest(
        id=fields.text(said, "id"),
        format=form,
        root=fields.text(said, "root"),
        path=fields.text(said, "path"),
        category=fields.text(said, "category"),
        label=fields.text(said, "label"),
        stamp=fields.optional(fields.whole, said, "stamp"),
        layout=fields.text(said, "layout"),
        made_by=fields.optional(fields.text, said, "made_by"),
        archived_at=archived_at,
        archived_by=fields.text(said, "archived_by"),
        reasons=fields.texts(said, "reasons"),
        changed_ns=fields.whole(said, "changed_ns", -fields.LARGEST),
        mode=int(mode, 8),
        files=fields.whole(said, "files"),
        directories=fields.whole(said, "directories"),
        size=fields.whole(said, "size"),
        digest=fields.text(said, "digest"),
        has_contents=fields.flag(said, "has_contents"),
        undo_for=fields.optional(fields.number, said, "undo_for"),
    )


def manifest_of(archive: Path, name: str) -> Manifest | None:
    """What is said of what is called `name` in the archive; `None` without a usable manifest."""
    return _read_manifest(archive / f"{name}{MANIFEST}")[0]


def is_archived(archive: Path, name: str, identifier: str, inode: int) -> bool:
    """Whether what was packed as that `inode` lies whole in the archive under `name`, by a
    manifest of that id.

    Raises `OSError` if that cannot be told; not if there is no such archive.
    """
    path = archive / f"{name}{MANIFEST}"
    manifest, problem = _read_manifest(path)
    if manifest is None:
        if os.path.lexists(path):
            raise StorageError(0, f"{archive / name}: {problem}")
        return False
    with contextlib.suppress(FileNotFoundError):
        status = os.lstat(archive / f"{name}{SUFFIXES[manifest.format]}")
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
                # What another user packed is theirs, whatever it says: root would make it so.
                owner = (status.st_uid, status.st_gid) if status.st_uid else item.owner
                yield item._replace(owner=owner)
        return
    parent = open_root(archive)
    try:
        yield from tree(parent, archived.data, contents=contents)
    finally:
        at.close(parent)


# -- low disk -------------------------------------------------------------------------------------


def droppable(archive: Path, root: Path) -> list[Entry]:
    """What may be deleted of `archive` to make room for `root`: what came from there and is not
    pinned, measured, as entries whose `path` is the place in the archive.

    Nothing if the archive lies on another filesystem, where that would not help. Without a manifest
    nothing says that it is an archive at all.
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
    """What lies in `archive`, came from `root` and `is_wanted`: its manifest, and it, measured.

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


def drop_all(
    archive: Path, steps: Iterable[Step], remover: Remover | None, objection: Callable[[Step], str]
) -> Iterator[Outcome]:
    """Delete what `steps` name of `archive`, one after the other, if there is no `objection` then;
    what became of each. Without a `remover` they are only moved aside, as leftovers.
    """
    with contextlib.ExitStack() as stack:
        try:
            area = stack.enter_context(contextlib.closing(HoldingArea(archive)))
            pins = Pins(archive)
        except (NotClaimed, TempError) as error:
            yield from (Outcome(step, "failed", str(error)) for step in steps)
            return
        # Else two would free what one of them is about to have freed.
        lock = os.open(archive, os.O_RDONLY) if at.RELATIVE else -1
        if lock >= 0:
            stack.callback(os.close, lock)
            if not lock_file(lock):
                reason = "another clean is deleting archives just now"
                yield from (Outcome(step, "skipped", reason) for step in steps)
                return
        for step in steps:
            pins.refresh()
            if why := objection(step):
                yield Outcome(step, "skipped", why)
            elif pins.of(step.entry.path) is not None:
                yield Outcome(step, "skipped", "has been pinned meanwhile")
            else:
                yield _drop_one(step, area, remover)
    forget_stale(archive)


def _drop_one(step: Step, area: HoldingArea, remover: Remover | None) -> Outcome:
    try:
        claim = area.claim(step.entry.path, (step.entry.device, step.entry.inode))
    except NotClaimed as reason:
        return Outcome(step, "failed" if reason.failed else "skipped", reason.detail)
    removed = Removed()
    with contextlib.closing(claim):
        if remover is None:
            return Outcome(step, "done", "being freed")
        for _, found in remover.remove([claim]):
            removed = claim.conclude(found)
    if removed.failures:
        return Outcome(step, "failed", spell_failures(removed), removed.freed_bytes)
    return Outcome(step, "done", "", removed.freed_bytes)


def drop(archive: Path, archived: Archived, *, despite_lock: bool = False) -> Removed:
    """Delete what was archived, and then its manifest. Raises `NotClaimed`."""
    with contextlib.closing(HoldingArea(archive)) as area:
        claim = area.claim(archived.data, archived.identity, despite_lock=despite_lock)
        with contextlib.closing(claim):
            removed = claim.remove()
    if not removed.failures:
        forget_manifest(archive, archived.name)
    return removed


def forget_manifest(archive: Path, name: str) -> None:
    """Remove the manifest of `name`, of which nothing is left."""
    _unlink(archive / f"{name}{MANIFEST}", lambda descriptor: True)


def _unlink(path: Path, is_meant: Callable[[int], bool]) -> None:
    """Remove a manifest if the open one `is_meant`, unless somebody is at it."""
    with contextlib.suppress(OSError):
        if fcntl is None:
            # Nobody can tell who is at it, and what is open stays.
            os.unlink(path)
            return
        descriptor = _plainly(str(path), os.O_RDONLY)
        try:
            # Who reserves a name has its manifest locked, and cannot while this one is there.
            if lock_file(descriptor) and is_meant(descriptor):
                told, there = os.fstat(descriptor), os.lstat(path)
                is_it = (told.st_dev, told.st_ino) == (there.st_dev, there.st_ino)
                if is_it and stat.S_ISREG(told.st_mode):
                    os.unlink(path)
        finally:
            os.close(descriptor)


def forget_stale(archive: Path) -> None:
    """Remove the manifests that killed processes left, of what never came or is gone by now."""
    try:
        names = set(os.listdir(archive))
    except OSError:
        return
    if fcntl is None:
        return
    for file in names:
        name = file.removesuffix(MANIFEST)
        if file == name or any(name + suffix in names for suffix in SUFFIXES.values()):
            continue

        def is_stale(descriptor: int, file: str = file, name: str = name) -> bool:
            # Looked at again, now that nobody can be about to put something there.
            begins = os.read(descriptor, len(_BEGINS))
            # With a manifest of its own it is an entry that was called so.
            is_entry = os.path.lexists(archive / f"{file}{MANIFEST}")
            return _BEGINS.startswith(begins) and not is_entry and not _is_taken(archive, name)

        _unlink(archive / file, is_stale)


# -- putting something there ----------------------------------------------------------------------


class Deposit:
    """One entry on its way into `archive`. To be closed; what was not to be kept is gone then.

    With `undo_for`, the seconds for which it can be undone, that is where the root keeps what can
    be, and it gets there by a rename or not at all. Raises `NotDisposed` if it cannot be archived
    there, from each step; the entry is where it was.
    """

    def __init__(
        self,
        archive: Path,
        form: ArchiveFormat,
        root: Path,
        step: Step,
        now: float,
        undo_for: float | None = None,
    ) -> None:
        self.archive = Path(os.path.abspath(archive))
        self.form = form
        self.root = root
        self.step = step
        self.id = os.urandom(8).hex()
        self.name = ""
        self.packed_bytes = 0
        """What the archive takes on its disk."""
        self.until = None if undo_for is None else now + undo_for
        """Until when it can be undone."""
        self._undo_for = undo_for
        self._now = now
        self._found = Digest(0, 0, 0, "")
        self._first = Item("", "other")
        self._stack = contextlib.ExitStack()
        self._work = self._top = -1
        self._place = ""
        self._reserved = -1
        self._published = self._kept = False

    @property
    def inode(self) -> int:
        """That of what was packed, wherever it lies."""
        return at.stat(_DATA, dir_fd=self._work, follow_symlinks=False).st_ino

    @property
    def target(self) -> Path:
        """Where it is in the archive, or will be."""
        return self.archive / f"{self.name}{SUFFIXES[self.form]}"

    def close(self) -> None:
        """Close what is open, and take back what was not kept."""
        try:
            if not self._kept:
                self._withdraw()
            if self._work >= 0:
                for name in at.listdir(self._work):
                    remove_at(self._work, name)
        finally:
            self._close_manifest()
            self._stack.close()

    def keep(self) -> None:
        """Leave in the archive what was put there: from now on nothing else has to be whole."""
        self._kept = True

    def move(self) -> bool:
        """Whether the entry could be put there by one rename; it is kept then."""
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
            self.archive.mkdir(parents=True, exist_ok=True)
        if self.form != "dir" or os.stat(self.archive).st_dev != self.step.entry.device:
            return False
        self._found = digest(self._noting(self._items(contents=False)))
        self._reserve(has_contents=False)
        self.keep()  # before it is there: it will be the only one
        try:
            with self._parent() as (parent, name):
                top = self._open_archive()
                rename_new(name, self.target.name, src_dir_fd=parent, dst_dir_fd=top)
        except OSError as error:
            self._kept = False
            self._withdraw()
            if error.errno != errno.EXDEV:
                raise
            return False
        return True

    def _open_archive(self) -> int:
        """The open archive, the same one throughout, whatever is put in its place."""
        if self._top < 0:
            self._top = open_root(self.archive)
            self._stack.callback(at.close, self._top)
        return self._top

    def undo_move(self) -> str:
        """Put the entry back; "" or a clause that says where it is instead."""
        where = ""
        try:
            archive = open_root(self.archive)
            try:
                with self._parent() as (parent, name):
                    rename_new(self.target.name, name, src_dir_fd=archive, dst_dir_fd=parent)
            finally:
                at.close(archive)
        except OSError:
            where = str(self.target)
        self._forget_manifest()  # which speaks of what was looked at
        return where

    def pack(self) -> None:
        """Copy the entry, or pack it, into the archive's holding area, and compare that with it."""
        with self._failing():
            area = HoldingArea(self.archive, batch=True)
            self._stack.callback(area.close)
            work = area.open()
            if work is None:
                raise StorageError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._work, self._place = work, area.anchored
            if self.form == "dir":
                self._copy()
            else:
                self._tar()
            self._reserve(has_contents=True)

    def publish(self) -> None:
        """Put what was packed where it belongs; it is in the archive then."""
        with self._failing():
            if self.form == "dir" and self._first.kind != "symlink":
                # Held: what bears its name in the archive may be another at once.
                with held(os.path.join(self._place, _DATA)) as it:
                    self._put()
                    dress_held(it, self._first.mode, self._first.mtime_ns)
            else:
                self._put()
                if self.form == "dir":
                    dress(str(self.target), 0, self._first.mtime_ns, link=True)
            _flush(self.archive)

    def _put(self) -> None:
        rename_new(_DATA, self.target.name, src_dir_fd=self._work, dst_dir_fd=self._open_archive())
        self._published = True

    # -- steps ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Say of whatever goes wrong that the entry is not archived, and what to do."""
        try:
            yield
        except (OSError, NotClaimed, TempError) as error:
            if isinstance(error, FileNotFoundError) and self._is_gone():
                raise NotClaimed("is gone already") from None
            reason = str(error)
            if isinstance(error, OSError) and not isinstance(error, TempError):
                # What cannot be read is named as it was opened: by its name alone.
                named = isinstance(error, PermissionError) and isinstance(error.filename, str)
                where = error.filename if named and not os.path.isabs(error.filename) else ""
                reason = in_place(reason_of(error), where)
            why, semicolon, remedy = reason.partition("; ")
            what, otherwise = (
                ("archived", "choose another archive_location, or clean without archiving")
                if self.until is None
                else ("set aside", "clean without --undoable")
            )
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
                f"cannot be archived in {self.archive}, which lies in it; choose another place"
            )
        if is_inside(real, root):
            top = os.path.relpath(real, root).split(os.sep)[0]
            if top == os.curdir or self._layout().holds(top, is_directory=True):
                raise NotDisposed(
                    f"cannot be archived in {self.archive}, which lies among the entries; "
                    "choose another archive_location"
                )

    def _layout(self) -> Layout:
        entry = self.step.entry
        is_run = entry.category == PIPELINE.category and "/" not in entry.path
        return layout_of(self.root, PIPELINE if is_run else SCRATCH)

    @contextlib.contextmanager
    def _parent(self) -> Iterator[tuple[int, str]]:
        """The open directory in which the entry lies, reached through no link, and its name."""
        category, _, name = self.step.entry.path.rpartition("/")
        top = open_root(self.root)
        try:
            parent = at.open(category or ".", DIRECTORY_FLAGS, dir_fd=top)
            try:
                yield parent, name
            finally:
                at.close(parent)
        finally:
            at.close(top)

    def _items(self, *, contents: bool = True) -> Iterator[Item]:
        """The items of the entry, as it lies in its place."""
        with self._parent() as (parent, name):
            yield from tree(parent, name, contents=contents)

    def _noting(self, items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            if not item.path:
                self._first = item
            yield item

    def _to_pack(self) -> Iterator[Item]:
        """The items of the entry, all of which can be written again elsewhere."""
        for item in self._noting(self._items()):
            if item.kind == "other":
                from .tarring import in_no_archive

                raise StorageError(0, in_no_archive(item.path))
            if len(os.fsencode(item.path)) > _LONGEST_PATH:
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            yield item

    def _copy(self) -> None:
        digester = Digester()
        write(digester.passing(self._to_pack()), os.path.join(self._place, _DATA))
        self._found = digester.digest()
        if digest(tree(self._work, _DATA, afresh=True)) != self._found:
            raise StorageError(0, "the copy differs")
        measured = measured_at(self._work, _DATA)
        self.packed_bytes = 0 if measured is None else measured.size

    def _tar(self) -> None:
        from .tarring import pack_by_python, pack_by_system, system_tar

        category, _, name = self.step.entry.path.rpartition("/")
        has_attributes = False
        digester = Digester()
        with open(os.path.join(self._place, _NAMES), "xb") as names:
            for item in digester.passing(self._to_pack()):
                names.write(os.fsencode(f"./{name}/{item.path}".rstrip("/")) + b"\0")
                has_attributes = has_attributes or bool(item.attributes)
                if item.read is not None:
                    for _ in chunks(item):
                        pass
        self._found = digester.digest()
        tar = system_tar()
        if tar is not None:
            above = str(self.root / category)
            try:
                with self._packing() as file:
                    pack_by_system(
                        tar, self.form, above, names.name, file, attributes=has_attributes
                    )
                return
            except (OSError, Refused):
                # Not every `tar` can do everything; what it is really about, `tarfile` says.
                remove_at(self._work, _DATA)
        with self._packing() as file:
            pack_by_python(self.form, name, self._items(), file)

    @contextlib.contextmanager
    def _packing(self) -> Iterator[IO[bytes]]:
        """The file to pack into; afterwards it is on the disk, and holds what the entry holds."""
        from .tarring import unpacked

        with open(os.path.join(self._place, _DATA), "x+b", opener=_private) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(0)
            if digest(unpacked(self.form, file)) != self._found:
                raise StorageError(0, "what was packed differs")
        measured = measured_at(self._work, _DATA)
        self.packed_bytes = 0 if measured is None else measured.size

    def _reserve(self, *, has_contents: bool) -> None:
        """Take a name in the archive that nothing has, by the manifest."""
        wanted = _fitting(self.step.entry.path.replace("/", "__"))
        by = at.anchored(self._open_archive(), str(self.archive))
        for number in itertools.count(1):
            name = wanted if number == 1 else f"{wanted}.{number}"
            path = os.path.join(by, f"{name}{MANIFEST}")
            if _is_taken(Path(by), name):
                continue
            try:
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | _BINARY, 0o600)
            except FileExistsError:
                continue
            self._close_manifest()
            # Not before it is ours: what has a name is taken back.
            self.name, self._reserved = name, descriptor
            # Whoever found it before it was locked took it for a killed process's.
            lock_file(descriptor)
            text = self._manifest(has_contents).spell().encode()
            if os.write(descriptor, text) != len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
            if os.fstat(descriptor).st_nlink:
                return

    def _manifest(self, has_contents: bool) -> Manifest:
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
            changed_ns=self._first.mtime_ns,
            mode=self._first.mode,
            files=self._found.files,
            directories=self._found.directories,
            size=self._found.size,
            digest=self._found.hexdigest,
            has_contents=has_contents,
            undo_for=self._undo_for,
        )

    def _withdraw(self) -> None:
        if self._published:
            self._published = False
            self._close_manifest()
            status = at.stat(self.target, follow_symlinks=False)
            identity = (status.st_dev, status.st_ino)
            drop(self.archive, Archived(self.name, self.target.name, self.form, 0.0, identity))
        elif self.name:
            self._forget_manifest()

    def _forget_manifest(self) -> None:
        self._close_manifest()  # the lock is ours, and not every system unlinks what is open
        forget_manifest(self.archive, self.name)

    def _close_manifest(self) -> None:
        if self._reserved >= 0:
            os.close(self._reserved)
            self._reserved = -1


def _plainly(path: str, flags: int) -> int:
    """Open a file; no link is followed, nor a fifo's writer waited for."""
    more = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags | more)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


def _is_taken(archive: Path, name: str) -> bool:
    """Whether anything in the archive is called so, in whatever format."""
    return any(os.path.lexists(archive / f"{name}{suffix}") for suffix in SUFFIXES.values())


def _make_archive(archive: Path) -> None:
    check_root(archive)
    if not archive.is_dir():
        archive.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), open(archive / ".gitignore", "x") as file:
            file.write("*\n")
    if where_it_leads(archive) is not None:
        # Behind a link it is one only by this mark.
        (archive / STORE).mkdir(exist_ok=True)


def _fitting(name: str) -> str:
    """`name`, cut and told apart by a digest if it and what is added do not fit into 255 bytes."""
    data = os.fsencode(name)
    if len(data) <= _NAME_BYTES:
        return name
    return os.fsdecode(data[: _NAME_BYTES - 17]) + "-" + blake2b(data, digest_size=8).hexdigest()


def _spell_root(archive: Path, root: Path) -> str:
    real = os.path.realpath(archive)
    if is_inside(real, os.path.realpath(root)):
        return os.path.relpath(os.path.realpath(root), real)
    place = os.path.join(os.path.realpath(root.parent), root.name)
    project = os.path.realpath(find_project(root.parent))
    if is_inside(real, project) and is_inside(place, project):
        return os.path.relpath(place, real)
    return place


def _flush(directory: Path) -> None:
    """Make the names in it durable, where the platform can."""
    if at.RELATIVE:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
