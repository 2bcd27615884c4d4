"""The manifest of an archived entry: what and where it was, when and why it was archived."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...core import fields
from ...core.entry import CLOCK_SKEW
from ...core.fields import Unreadable
from ...errors import reason_of, without_remedy
from ..root.carried_facts import Carried
from ..system.archive_formats import FORMATS, ArchiveFormat
from ..system.process_identity import boot, uptime
from ..system.reading import read_json
from ..trees.contents import Digest

MANIFEST: Final = ".tempkeep.json"
"""The filename suffix of a manifest."""

_SCHEMA: Final = 1
_LONGEST_REASON: Final = 4096
_MANY_LEFT_OUT: Final = 30
"""How many sockets are listed: even with the longest paths, the manifest can still be read."""
_DAMAGED: Final = "its manifest is damaged"
BEGINNING: Final = b'{\n  "schema": 1,\n  "kind": "archive",\n'
"""The first bytes of every manifest, since other files may have a similar name."""


class Manifest(NamedTuple):
    """The facts about one archived entry.

    `root` is the root that the entry was in: relative to the archive if both belong to the same
    project (so that they can be moved together), else absolute. `path` is the entry's path in it.
    `size` is the number of bytes read. The `digest` covers the contents only if `has_contents`: an
    entry that was archived by a rename was not read. `mode` and `changed_ns` are those of the entry
    itself. `undo_for` is how many seconds an entry that was set aside can be restored; `None` for
    an archived one. `left_out` are the sockets in it that were not archived, or the first of them
    and how many more there are. `carried` is what the root had recorded about it. For an entry that
    was set aside, `boot` is the boot id of the kernel, and `up` its uptime in seconds at that time.
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
    left_out: tuple[str, ...] = ()
    carried: Carried = Carried()
    boot: str = ""
    up: float = 0.0

    @property
    def until(self) -> float | None:
        """Until when it can be undone, in seconds since 1970; `None` for an archived entry."""
        return None if self.undo_for is None else self.archived_at + self.undo_for

    def root_from(self, archive: Path) -> Path:
        """The absolute path of the root that the entry was in."""
        return Path(os.path.normpath(os.path.join(os.path.realpath(archive), self.root)))

    def fits(self, found: Digest) -> bool:
        """Whether `found` is the digest in this manifest."""
        return found == Digest(self.files, self.directories, self.size, self.digest)

    def spell(self) -> str:
        """The text of the file. Bytes in names that are not UTF-8 become escaped surrogates."""
        at_second = datetime.fromtimestamp(self.archived_at, UTC).isoformat(timespec="microseconds")
        table: dict[str, Any] = {
            "schema": _SCHEMA,
            "kind": "archive",
            **self._asdict(),
            "archived_at": at_second.replace("+00:00", "Z"),
            "mode": f"{self.mode:04o}",
            "reasons": [reason[:_LONGEST_REASON] for reason in self.reasons],
            "left_out": few_of(self.left_out, _MANY_LEFT_OUT),
        }
        told = self.carried._asdict()
        table["carried"] = {name: said for name, said in told.items() if said is not None}
        for name in ("left_out", "carried"):
            if not table[name]:
                del table[name]
        for name in ("undo_for", "boot", "up") if self.undo_for is None else ():
            del table[name]
        return json.dumps(table, indent=2, ensure_ascii=True) + "\n"


def few_of(names: Sequence[str], most: int) -> tuple[str, ...]:
    """At most `most` of `names`, then a text that says how many more there are, if any."""
    more = len(names) - most
    return (*names[:most], f"and {more} more") if more > 0 else tuple(names)


def manifest_path(archive: Path, name: str) -> Path:
    """The path of the manifest of `name` in the archive."""
    return archive / f"{name}{MANIFEST}"


def read_manifest(archive: Path, name: str) -> tuple[Manifest | None, str]:
    """The manifest of `name` in the archive, or `None` and why it cannot be used.

    For an entry that can be undone, `archived_at` is the latest possible time, since the clock may
    have been behind.
    """
    path = manifest_path(archive, name)
    try:
        manifest, problem = manifest_in(read_json(path))
        if manifest is not None and manifest.undo_for is not None:
            manifest = manifest._replace(archived_at=_latest(manifest, os.lstat(path).st_mtime))
        return manifest, problem
    except (FileNotFoundError, NotADirectoryError) as error:
        why = without_remedy(reason_of(error))
    except Unreadable as problem:
        if problem.error is None:
            return None, _DAMAGED
        why = without_remedy(reason_of(problem.error))
    return None, f"its manifest cannot be read ({why})"


def _latest(manifest: Manifest, written: float) -> float:
    """When the entry was set aside, according to the manifest; or when the manifest was `written`,
    or according to the uptime, if that is later by more than the usual clock skew.
    """
    said, now = manifest.archived_at, time.time()
    others = [written] if written <= now + CLOCK_SKEW else []
    if manifest.boot and manifest.boot == boot() and (passed := uptime() - manifest.up) >= 0:
        others.append(now - passed)
    return max([said, *(one for one in others if one > said + CLOCK_SKEW)])


def manifest_in(value: object) -> tuple[Manifest | None, str]:
    """The manifest in the parsed value of a file, or `None` and why it cannot be used."""
    try:
        table = fields.table(value)
        if fields.whole(table, "schema") != _SCHEMA or fields.text(table, "kind") != "archive":
            return None, "its manifest is of another version; update tempkeep"
        return _manifest_in(table), ""
    except Unreadable:
        return None, _DAMAGED


def _manifest_in(table: Mapping[str, Any]) -> Manifest:
    """The manifest in the table of a file. Raises `Unreadable` for an impossible value."""
    form, mode = fields.text(table, "format"), fields.text(table, "mode")
    if form not in FORMATS or not re.fullmatch("[0-7]{1,5}", mode) or int(mode, 8) > 0o7777:
        raise Unreadable("its format or its mode is not valid")
    try:
        archived_at = datetime.fromisoformat(fields.text(table, "archived_at")).timestamp()
    except (ValueError, OverflowError, OSError):
        raise Unreadable("archived_at is not a time") from None
    return Manifest(
        id=fields.text(table, "id"),
        format=form,
        root=fields.text(table, "root"),
        path=fields.text(table, "path"),
        category=fields.text(table, "category"),
        label=fields.text(table, "label"),
        stamp=fields.optional(fields.whole, table, "stamp"),
        layout=fields.text(table, "layout"),
        made_by=fields.optional(fields.text, table, "made_by"),
        archived_at=archived_at,
        archived_by=fields.text(table, "archived_by"),
        reasons=fields.texts(table, "reasons"),
        changed_ns=fields.whole(table, "changed_ns", -fields.LARGEST),
        mode=int(mode, 8),
        files=fields.whole(table, "files"),
        directories=fields.whole(table, "directories"),
        size=fields.whole(table, "size"),
        digest=fields.text(table, "digest"),
        has_contents=fields.flag(table, "has_contents"),
        undo_for=fields.optional(fields.number, table, "undo_for"),
        left_out=fields.optional(fields.texts, table, "left_out") or (),
        carried=_carried_in(fields.table(table.get("carried", {}))),
        boot=fields.optional(fields.words, table, "boot") or "",
        up=fields.optional(fields.number, table, "up") or 0.0,
    )


def _carried_in(table: Mapping[str, Any]) -> Carried:
    return Carried(
        ended=fields.optional(fields.text, table, "ended"),
        made=fields.optional(fields.number, table, "made"),
        key=fields.optional(fields.words, table, "key"),
        version=fields.optional(fields.words, table, "version"),
    )
