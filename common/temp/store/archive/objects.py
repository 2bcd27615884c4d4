"""An archive in an object store: an object for each entry, and its manifest, which is the commit.

`debug__x_1696348800.<id>.tar.zst` is a packed entry, and `debug__x_1696348800.<id>.tempkeep.json`
its manifest, which is written last and deleted first. So an object without a manifest does not
count: it is being stored or deleted now, or was left by a killed process.

The objects are untrusted, and names that are not of this form are ignored.
"""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ...core import fields
from ...core.archive_limits import NO_LIMITS, ArchiveLimits
from ...core.entry import Entry
from ...core.fields import Unreadable
from ...core.plan import Outcome, Step
from ...core.units import DAY
from ...errors import Refused, StorageError, TempError, without_remedy
from ..shelf.listing import Archived
from ..shelf.manifest import MANIFEST, Manifest, manifest_in
from ..system.archive_formats import FORMATS, ArchiveFormat, suffix_of
from ..system.reading import SMALL
from ..trees.contents import Item
from ..trees.removed import Removed
from .archives import Archive, Deposit, Part
from .bucket import Bucket, BucketError, Stored

if TYPE_CHECKING:
    from ..claiming.many_removals import Remover
    from ..settings.settings import Settings

_NAME: Final = re.compile(r"[A-Za-z0-9._=-]{1,200}\.(?P<id>[0-9a-f]{16})", re.ASCII)
_DATA: Final = tuple(suffix_of(form) for form in FORMATS if suffix_of(form))
_ORPHAN_SECONDS: Final = DAY
"""An object without a manifest that is older than this was left by a killed process."""
_AT_ONCE: Final = 8


class Packed(NamedTuple):
    """The size and the digest of the object of an entry."""

    size: int
    sha256: str


def spell_manifest(manifest: Manifest, packed: Packed) -> bytes:
    """The content of the manifest object for that packed object."""
    said = {**json.loads(manifest.spell()), "object": packed._asdict()}
    return (json.dumps(said, indent=2) + "\n").encode("ascii")


def refuse_powers(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the `items`. Raises `Refused` for a set-user-ID or set-group-ID file: anyone who can
    write to the bucket could plant one for the user who restores it.
    """
    for item in items:
        if item.kind == "file" and item.mode & (stat.S_ISUID | stat.S_ISGID):
            raise Refused(f"{item.path or 'it'} is set-user-ID or set-group-ID; remove that bit")
        yield item


class ObjectArchive(Archive):
    """The archive at a URL. It is `used` if the settings say that entries are archived."""

    def __init__(
        self, location: str, limits: ArchiveLimits = NO_LIMITS, *, used: bool = True
    ) -> None:
        self.bucket = Bucket(location)
        self.limits = limits
        self._used = used
        self._packed: dict[str, Packed] = {}
        """The facts about objects from the manifests read so far, by object name."""

    is_near = False

    @property
    def location(self) -> str:
        """Its URL."""
        return self.bucket.url

    def is_at(self, location: str) -> bool:
        """Whether `location` is the URL of this archive."""
        return location.rstrip("/") == self.location

    def check_usable(self) -> None:
        """Raise `InvalidSettings` if obstore is missing, or a variable is invalid."""
        self.bucket.open()

    def deposit(
        self, root: Path, step: Step, now: float, form: ArchiveFormat, part: Part | None = None
    ) -> Deposit:
        """Begin to archive the entry of `step`; the format dir is replaced by tar.zst."""
        from .upload import ObjectDeposit

        return ObjectDeposit(self, root, step, now, "tar.zst" if form == "dir" else form, part)

    # -- listing ----------------------------------------------------------------------------------

    def listed(self, root: Path) -> list[Archived]:
        """The archived entries, oldest first."""
        objects = {stored.name: stored for stored in self.bucket.listed()}
        names = [
            name
            for file in objects
            if (name := file.removesuffix(MANIFEST)) != file and _NAME.fullmatch(name)
        ]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(lambda name: self._archived(name, objects.get), names)
            return sorted(
                (one for one in found if one is not None),
                key=lambda archived: (archived.archived_at, archived.name),
            )

    def _archived(self, name: str, look: Callable[[str], Stored | None]) -> Archived | None:
        """The entry archived as `name`, if it has a manifest; `look` finds its object."""
        manifest, packed, problem = self._read(name)
        if problem is None:
            return None
        forms = [form for form in FORMATS if suffix_of(form)]
        form = manifest.format if manifest is not None else forms[0]
        data = name + suffix_of(form)
        if manifest is not None and packed is not None:
            stored = look(data)
            if stored is None or stored.size != packed.size:
                is_there = "is no longer there" if stored is None else "has another size"
                manifest, problem = None, f"its object {is_there}"
            else:
                self._packed[data] = packed
        where = self.bucket.spell(data)
        if manifest is None:
            return Archived(name, data, form, 0.0, (0, 0), None, problem, where)
        root = Path(os.path.normpath(manifest.root))
        return Archived(name, data, form, manifest.archived_at, (0, 0), manifest, "", where, root)

    def _read(self, name: str) -> tuple[Manifest | None, Packed | None, str | None]:
        """The manifest of `name`, its facts about the object, and "" or why they cannot be used;
        instead of that text, `None` if there is no manifest.
        """
        try:
            data = self.bucket.read(name + MANIFEST, SMALL)
        except BucketError as error:
            if error is self.bucket.failure:
                raise
            return None, None, f"its manifest cannot be read ({without_remedy(error.said)})"
        if data is None:
            return None, None, None
        try:
            value = fields.parsed(data)
            table = fields.table(value)
            manifest, problem = manifest_in(value)
            if manifest is None:
                return None, None, problem
            told = fields.table(table.get("object"), "object")
            packed = Packed(fields.whole(told, "size"), fields.text(told, "sha256"))
        except Unreadable:
            return None, None, "its manifest is damaged"
        match = _NAME.fullmatch(name)
        is_its = match is not None and match["id"] == manifest.id
        if not is_its or not suffix_of(manifest.format) or not os.path.isabs(manifest.root):
            return None, None, "its manifest belongs to something else"
        return manifest, packed, ""

    def contents(self, archived: Archived, *, contents: bool = True) -> Iterator[Item]:
        """The items of the archived entry; see `Archive`. All get the owner of the root."""
        packed = self._packed.get(archived.data)
        if packed is None:
            raise Refused("its manifest was not read")
        try:
            status = os.stat(archived.root or "")
            owner = status.st_uid, status.st_gid
        except OSError:
            owner = -1, -1
        for item in refuse_powers(self.unpacked(archived.data, archived.format, packed)):
            yield item._replace(owner=owner)

    def unpacked(self, data: str, form: ArchiveFormat, packed: Packed) -> Iterator[Item]:
        """The items in the object `data`. Raises `Refused` at the end if its digest differs."""
        from .streams import received
        from .tarring import unpacked

        whole = sha256()

        def pieces() -> Generator[bytes, None, None]:
            for piece in self.bucket.pieces(data, packed.size):
                whole.update(piece)
                yield piece

        with received(pieces()) as file:
            yield from unpacked(form, file)
            while file.read(1 << 16):
                pass
        if whole.hexdigest() != packed.sha256:
            raise Refused("its bytes are not those that were stored")

    # -- dropping ---------------------------------------------------------------------------------

    def drop(self, archived: Archived, state: object = None) -> Removed:
        """Delete the manifest, and then the object; see `Archive`."""
        removed = Removed()
        try:
            self._delete(archived.name, archived.data)
        except StorageError as error:
            removed.failures.append(("", str(error)))
        return removed

    def drop_all(
        self,
        steps: Iterable[Step],
        remover: Remover | None,
        objection: Callable[[Step], str],
        *,
        spare_in_use: bool,
    ) -> Iterator[Outcome]:
        """Delete the entries of `steps`; see `Archive`. Objects are never pinned or in use."""
        for step in steps:
            if why := objection(step):
                yield Outcome(step, "skipped", why)
                continue
            data = step.entry.path
            name = next((data.removesuffix(end) for end in _DATA if data.endswith(end)), "")
            try:
                if not _NAME.fullmatch(name) or self.bucket.look(name + MANIFEST) is None:
                    yield Outcome(step, "skipped", "is gone already")
                    continue
                self._delete(name, data)
            except TempError as error:
                yield Outcome(step, "failed", str(error))
                continue
            yield Outcome(step, "done", "", step.entry.size)

    def _delete(self, name: str, data: str) -> None:
        """Delete the manifest first: an object without one is an orphan for a later clean."""
        self.bucket.delete(name + MANIFEST)
        self.bucket.delete(data)

    def droppable(self, root: Path, *, proven: bool = False) -> list[Entry]:
        """The entries that came from `root`, each with the name of its object as `path`."""
        return [
            Entry(
                path=archived.data,
                category=archived.manifest.category,
                label=archived.manifest.label,
                stamp=archived.manifest.stamp,
                kind="file",
                size=self._packed[archived.data].size,
                files=1,
                inodes=1,
                changed=archived.archived_at,
            )
            for archived in self.listed(root)
            if archived.manifest is not None and archived.came_from(root)
        ]

    # -- whole in one place -----------------------------------------------------------------------

    def receipt(self, archived: Archived) -> str:
        """The text by which `find` finds it again."""
        return spell_receipt(archived.name, archived.id)

    def find(self, receipt: str, root: Path) -> Archived | None:
        """The archived entry of that receipt, if it is there and unchanged; see `Archive`."""
        table = fields.table(fields.parsed(os.fsencode(receipt)))
        name, identifier = fields.text(table, "name"), fields.text(table, "id")
        e_tag = fields.words(table, "e_tag")
        if not _NAME.fullmatch(name):
            raise Unreadable(f"{name!r} is not a name in an archive")
        is_same = True

        def look(data: str) -> Stored | None:
            nonlocal is_same
            stored = self.bucket.look(data)
            is_same = stored is None or e_tag in ("", stored.e_tag)
            return stored

        archived = self._archived(name, look)
        if archived is not None and archived.problem:
            raise StorageError(0, f"{archived.where}: {archived.problem}")
        return archived if archived is not None and archived.id == identifier and is_same else None

    def tidy(self, remover: Remover) -> tuple[int, Removed]:
        """Delete objects that are a day old and have no manifest. Returns their number and the
        result.

        Only a clean that archives, or has limits for the archive, does this. If the store cannot be
        reached, nothing is reported: archiving an entry reports it.
        """
        removed, count = Removed(), 0
        if not (self._used or self.limits.are_set):
            return count, removed
        try:
            objects = {stored.name: stored for stored in self.bucket.listed()}
        except BucketError as error:
            if error is self.bucket.failure:
                return count, removed
            raise StorageError(0, error.said) from error
        for stored in objects.values():
            name = next(
                (stored.name.removesuffix(end) for end in _DATA if stored.name.endswith(end)), ""
            )
            is_young = stored.modified > time.time() - _ORPHAN_SECONDS
            if not _NAME.fullmatch(name) or is_young or name + MANIFEST in objects:
                continue
            try:
                if self.bucket.look(name + MANIFEST) is None:  # it may be newer than the list
                    self.bucket.delete(stored.name)
                    count += 1
                    removed.freed_bytes += stored.size
            except StorageError as error:
                removed.failures.append((stored.name, without_remedy(str(error))))
        return count, removed


def spell_receipt(name: str, identifier: str, e_tag: str = "") -> str:
    """The text that `ObjectArchive.find` reads; an `e_tag` limits it to that very object."""
    return json.dumps({"name": name, "id": identifier, "e_tag": e_tag})


def object_archive(settings: Settings) -> ObjectArchive:
    """The archive that the settings name; see `KINDS`."""
    location = settings.archive_location
    assert location is not None, "a URL is set"
    return ObjectArchive(location, settings.archive_limits, used=settings.archive)
