"""Recorded facts about an entry that are archived and restored with it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from ...core.entry import Entry
from ...core.layouts import Layout
from ...core.named_tuple import NamedTuple
from ...errors import TempError
from .last_use import last_use_of, note_made
from .run_ends import note_ending

_LONGEST_KEY: Final = 1 << 14


class Carried(NamedTuple):
    """How a run `ended`; when a cache was `made` (seconds since 1970), and for which `key` and
    `version`. Fields that do not apply are `None`.
    """

    ended: str | None = None
    made: float | None = None
    key: str | None = None
    version: str | None = None


def carried_by(root: Path, entry: Entry) -> Carried:
    """The facts to archive with `entry` of `root`, as far as they can be read."""
    ended = entry.ending or None
    with contextlib.suppress(OSError, TempError):
        noted = last_use_of(root, entry.path)
        if noted.made and len(noted.key) + len(noted.version) <= _LONGEST_KEY:
            return Carried(ended, noted.made, noted.key, noted.version)
    return Carried(ended)


def record_carried(root: Path, relative: str, carried: Carried, layout: Layout) -> None:
    """Record these facts for the entry restored at `relative`. Errors are ignored."""
    with contextlib.suppress(OSError, TempError):
        if carried.ended is not None and layout.ends:
            note_ending(str(root), relative, carried.ended, layout)
        if carried.made is not None and not layout.category:
            key, version = carried.key or "", carried.version or ""
            note_made(root, relative, key, version, made=carried.made)
