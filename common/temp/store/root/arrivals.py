"""Records of how old an entry was before this program renamed it or failed to remove all of it.

Both change the times that its age is computed from. So the code that puts an entry back records the
earlier times. A record is valid until the entry is changed again. If a process is killed between
the rename and the record, the entry has no record: it counts as new, and is kept longer.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from ...core import fields
from ...core.entry import CLOCK_SKEW, Entry
from ...core.fields import Unreadable
from ...core.layouts import ARRIVALS
from ...core.named_tuple import NamedTuple
from ...errors import TempError
from ..project.store_guard import check_store
from ..system import at
from .records import Record, read_records, record_name, record_names, replace_record

_MOST_PARTS: Final = 1000
"""The most names recorded as kept in a directory; with more, everything in it counts as kept."""


class Arrival(NamedTuple):
    """When an entry arrived and last changed, in seconds since 1970, before this program moved it.

    `unfinished` means that its removal began and failed. `inode` and `ctime_ns` describe its top
    directory afterwards. `remainder` means that a clean kept some of its files and removed the
    rest; this is valid as long as the top directory has the same inode. If the directory may become
    a category, `parts` are the names in it that were kept; `None` means all of them.
    """

    arrived: float
    changed: float
    unfinished: bool
    inode: int
    ctime_ns: int
    remainder: bool = False
    parts: tuple[str, ...] | None = None

    def is_of(self, inode: int, ctime_ns: int) -> bool:
        """Whether the record is about that top directory, and it is unchanged since."""
        return (self.inode, self.ctime_ns) == (inode, ctime_ns)


class Arrivals:
    """The records of one root. Raises `StorageError`, or `Refused` if they are behind a symlink."""

    def __init__(self, root: Path) -> None:
        names = record_names(root, ARRIVALS)
        if names:
            check_store(root)
        self._found = _found(root, names)

    def of(self, relative: str, inode: int, ctime_ns: int) -> Arrival | None:
        """The valid record of the entry at `relative`; `None` if there is none.

        A record of another entry of that name, or from before the top directory last changed, is
        not valid.
        """
        one = self._found.get(relative)
        return one if one is not None and one.is_of(inode, ctime_ns) else None


def _found(root: Path, names: list[str]) -> dict[str, Arrival]:
    read = (_read(record) for record in read_records(root, ARRIVALS, names))
    return dict(one for one in read if one is not None)


def _read(record: Record) -> tuple[str, Arrival] | None:
    says = record.says
    if record.path is None:
        return None
    try:
        return record.path, Arrival(
            fields.number(says, "arrived"),
            fields.number(says, "changed"),
            fields.flag(says, "unfinished"),
            fields.whole(says, "inode", most=2**128),
            fields.whole(says, "ctime_ns"),
            says.get("remainder") is True,
            _parts(says.get("parts")),
        )
    except Unreadable:
        return None


def _parts(said: object) -> tuple[str, ...] | None:
    if isinstance(said, list) and all(isinstance(name, str) for name in said):
        return tuple(said)
    return None


def arrival_of(told: float | None, known: Arrival | None, ctime: float, now: float) -> float:
    """When an entry arrived: the time `told` by its name, else by its record, else its `ctime`.

    Times in the future are skipped; if there is no other, the result is `now`.
    """
    for time in (told, None if known is None else known.arrived, ctime):
        if time is not None and time <= now + CLOCK_SKEW:
            return float(time)
    return now


def keep_age(
    root: Path,
    relative: str,
    before: os.stat_result,
    *,
    place: str = "",
    changed: float | None = None,
    is_finished: bool = False,
    is_remainder: bool = False,
) -> None:
    """Record how old the entry was that was at `relative` and is now at `place` (default: there).

    `before` is the status of its top directory before this program touched it; call this after the
    last change to it. `changed` is when it last changed before a removal that failed. `is_finished`
    means that nothing more of it will be removed, `is_remainder` that the rest of it was removed.
    Errors are ignored: an entry without a record counts as new.
    """
    place = place or relative
    with contextlib.suppress(OSError, TempError):
        now = at.stat(os.path.join(root, place), follow_symlinks=False)
        if now.st_ino != before.st_ino or now.st_ctime_ns == before.st_ctime_ns:
            return
        known = _record_of(root, relative)
        if known is not None and place == relative and known.is_of(now.st_ino, now.st_ctime_ns):
            return  # it was recorded when it was put back
        known = _as_it_was(known, before)
        if is_remainder:
            known = known._replace(remainder=True)
        if is_finished:
            known = known._replace(changed=0.0, unfinished=False)
        elif changed is not None and not known.unfinished:
            known = known._replace(changed=max(0.0, changed), unfinished=True)
        note_arrival(root, place, known._replace(inode=now.st_ino, ctime_ns=now.st_ctime_ns))


def note_remainder(
    root: Path, relative: str, before: os.stat_result, names: Collection[str]
) -> None:
    """Record that a clean is about to keep the `names` in the top directory of the entry at
    `relative`, and to remove the rest.

    `before` is the status of that directory, as for `keep_age`, which makes the final record.
    Errors are ignored.
    """
    parts = tuple(sorted(names)) if "/" not in relative and len(names) <= _MOST_PARTS else None
    with contextlib.suppress(OSError, TempError):
        known = _as_it_was(_record_of(root, relative), before)
        known = known._replace(
            inode=before.st_ino, ctime_ns=before.st_ctime_ns, remainder=True, parts=parts
        )
        note_arrival(root, relative, known)


def is_remainder(root: Path, relative: str) -> bool:
    """Whether the directory at `relative` holds only what a clean kept of an entry."""
    return _remainder(root, relative) is not None


def is_part(root: Path, relative: str) -> bool:
    """Whether the entry at `relative` is in a category that was itself an entry, and is part of
    what a clean kept of that entry.
    """
    category, _, name = relative.partition("/")
    kept = _remainder(root, category) if name else None
    return kept is not None and (kept.parts is None or name in kept.parts)


def _remainder(root: Path, relative: str) -> Arrival | None:
    """The record of the directory at `relative`, if it holds only what a clean kept of an entry."""
    known = _record_of(root, relative)
    if known is not None and known.remainder:
        with contextlib.suppress(OSError):
            status = at.stat(os.path.join(root, relative), follow_symlinks=False)
            return known if status.st_ino == known.inode else None
    return None


def _record_of(root: Path, relative: str) -> Arrival | None:
    return _found(root, [record_name(relative)]).get(relative)


def _as_it_was(known: Arrival | None, before: os.stat_result) -> Arrival:
    """The `known` record, if it is valid for that top directory; else one made from `before`."""
    if known is not None and known.is_of(before.st_ino, before.st_ctime_ns):
        return known
    kept = known is not None and known.remainder and known.inode == before.st_ino
    parts = known.parts if known is not None and kept else None
    return Arrival(max(0.0, before.st_ctime_ns / 1e9), 0.0, False, 0, 0, kept, parts)


def note_first_seen(root: Path, entries: Iterable[Entry], now: float) -> None:
    """Record `now` as the arrival of the `entries` of which only times in the future are known.

    `now` is when they were scanned. Errors are ignored: the next scan tries again.
    """
    for entry in entries:
        if entry.arrived == now:
            with contextlib.suppress(OSError, TempError):
                top = at.stat(os.path.join(root, entry.path), follow_symlinks=False)
                if (top.st_dev, top.st_ino) == (entry.device, entry.inode):
                    arrival = _as_it_was(_record_of(root, entry.path), top)
                    arrival = arrival._replace(
                        arrived=now, inode=top.st_ino, ctime_ns=top.st_ctime_ns
                    )
                    note_arrival(root, entry.path, arrival)


def note_arrival(root: Path, relative: str, arrival: Arrival) -> None:
    """Write the record of the entry at `relative`. Raises `OSError` or `TempError`."""
    from ..project.store_parts import make_parts  # a scan only reads records, and does not need it

    check_store(root)
    make_parts(root, ARRIVALS)
    replace_record(root, ARRIVALS, relative, arrival._asdict())
