"""Puts one entry into an archive in an object store: streams it, reads it back, then writes its
manifest.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...core.plan import Step
from ...errors import StorageError, TempError, without_remedy
from ..shelf.manifest import MANIFEST
from ..shelf.moving import failing
from ..shelf.source import Source
from ..system.archive_formats import ArchiveFormat, checked_format, suffix_of
from ..trees.contents import Digester, digest, state
from .archives import Deposit, Part
from .bucket import BucketError, url_known
from .objects import Packed, refuse_powers, spell_manifest, spell_receipt
from .streams import sent
from .tarring import pack_by_python

if TYPE_CHECKING:
    from .objects import ObjectArchive

_LONGEST: Final = 180
_OVERHEAD: Final = 2048
"""The most bytes that a tar adds for one file or directory."""

_STALE_SECONDS: Final = 12 * 3600.0
"""An object older than this is no longer published (the computer may have slept): after a day,
another clean could delete it as left by a killed process."""


def object_name(path: str, identifier: str) -> str:
    """The object name for the entry at `path`, with only characters that every store accepts."""
    said = re.sub(r"[^A-Za-z0-9._-]", "=", path.replace("/", "__"))
    return f"{said[:_LONGEST]}.{identifier}"


class ObjectDeposit(Deposit):
    """One entry on its way into an `ObjectArchive`; see `Deposit`."""

    state = ""
    packed_bytes: int | None = None

    def __init__(
        self,
        archive: ObjectArchive,
        root: Path,
        step: Step,
        now: float,
        form: ArchiveFormat,
        part: Part | None,
    ) -> None:
        self._archive, self._bucket = archive, archive.bucket
        self._form = checked_format(form)
        self._now, self._part = now, part
        self._source = Source(root, step)
        self._id = os.urandom(8).hex()
        self._name = object_name(step.entry.path, self._id)
        self._data = self._name + suffix_of(self._form)
        self._manifest = b""
        self._e_tag = ""
        self._stored_at = 0.0
        self._began, self._kept = False, False

    @property
    def where(self) -> str:
        """The URL of the object."""
        return self._bucket.spell(self._data)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The sockets in it, which were not packed."""
        return tuple(self._source.left_out)

    @property
    def receipt(self) -> str:
        """The text by which the archive finds exactly this object."""
        return spell_receipt(self._name, self._id, self._e_tag)

    def pack(self) -> None:
        """Store the packed entry, read it back and compare it, without writing to disk."""
        with self._failing():
            if self._bucket.failure is not None:
                raise self._bucket.failure  # so that not every one of many entries waits for it
            with self._source.opened() as (parent, name):
                self.state = state(parent, name)
                # Only after taking the state, so that later changes are noticed.
                self._source.only = None if self._part is None else self._part(parent, name)
            expected = self._expected_bytes()
            digester, whole = Digester(), sha256()
            size = 0

            def send(pieces: Iterator[bytes]) -> None:
                def passing() -> Iterator[bytes]:
                    nonlocal size
                    for piece in pieces:
                        whole.update(piece)
                        size += len(piece)
                        yield piece

                self._bucket.upload(self._data, passing(), expected)

            self._began = True
            with sent(send) as file:
                items = digester.passing(refuse_powers(self._source.portable()))
                pack_by_python(self._form, name, items, file)
            self._stored_at = time.time()
            found, packed = digester.digest(), Packed(size, whole.hexdigest())
            self._check_stored(packed)
            if digest(self._archive.unpacked(self._data, self._form, packed)) != found:
                raise StorageError(0, "what was packed differs")
            self.packed_bytes = size
            manifest = self._source.manifest(
                found,
                identifier=self._id,
                form=self._form,
                root=os.path.realpath(self._source.root),
                now=self._now,
                has_contents=True,
            )
            self._manifest = spell_manifest(manifest, packed)

    def _expected_bytes(self) -> int:
        """The most bytes that the tar has, if the entry does not grow."""
        entry = self._source.step.entry
        if not entry.partial:
            return entry.apparent + (entry.files + entry.directories) * _OVERHEAD
        return sum(item.size + _OVERHEAD for item in self._source.items(contents=False))

    def _check_stored(self, packed: Packed) -> None:
        """Raise `StorageError` unless the object is there, whole and unchanged."""
        stored = self._bucket.look(self._data)
        if stored is None or stored.size != packed.size or self._e_tag not in ("", stored.e_tag):
            raise StorageError(0, f"{self.where} is not what was stored there")
        self._e_tag = stored.e_tag
        self._packed = packed

    def publish(self) -> None:
        """Write the manifest if there is none, read it back, and check the object once more."""
        with self._failing():
            if time.time() - self._stored_at > _STALE_SECONDS:
                raise StorageError(0, "it was stored too long ago; clean again")
            name, lost = self._name + MANIFEST, None
            try:
                self._bucket.create(name, self._manifest)
            except StorageError as error:
                lost = error  # it may still have arrived
            try:
                found = self._bucket.read(name, len(self._manifest))
            except BucketError as error:
                why = without_remedy(error.said)
                raise StorageError(
                    0, f"{why}; look whether `temp-restore --list` has it too, and try again"
                ) from error
            if found != self._manifest:
                raise lost or StorageError(0, f"{name} is not what was stored there")
            self._check_stored(self._packed)

    def keep(self) -> None:
        """Make `close` keep it."""
        self._kept = True

    def close(self) -> None:
        """Remove what was not kept."""
        if self._began and not self._kept:
            with contextlib.suppress(TempError):  # without a manifest, a later clean does it
                self._bucket.delete(self._name + MANIFEST)
                self._bucket.delete(self._data)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        where, instead = self._bucket.url, "clean without archiving"
        with failing(self._source, f"cannot be archived in {where}", instead), url_known():
            yield
