"""Records how runs end: a run begins as "running", and its end replaces that.

A kill leaves "running" behind. Once the owner is known to be dead, that run died. What cannot be
read, or is the record of another directory, says nothing: that run may be good.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ...core import fields
from ...core.entry import Ending, Entry
from ...core.fields import Unreadable
from ...core.layout import ENDS, STORE, Layout
from .leases import Leases
from .records import Record, read_records, record_name, record_names, write_record

_RECORDED: Final[dict[str, Ending]] = {
    "running": "running",
    "success": "success",
    "failed": "failed",
    "given up": "given up",
}


def note_end(root: str, relative: str, inode: int, end: Ending, layout: Layout) -> None:
    """Record how the entry at `relative` ended, or that it runs, if it still is that `inode`.

    If that cannot be written, what was recorded before goes, unless the run failed: it would make
    the run look dead.
    """
    try:
        if os.lstat(os.path.join(root, relative)).st_ino != inode:
            return
    except OSError:
        return  # there is nothing left to keep
    try:
        write_record(Path(root), ENDS, relative, {"end": end, "inode": inode}, layout, sync=True)
    except OSError:  # the disk is full, for example
        if end != "failed":
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(root, STORE, ENDS, record_name(relative)))


def with_endings(root: Path, entries: Iterable[Entry], leases: Leases) -> tuple[Entry, ...]:
    """The entries, each with how it ended. `leases` were read after the entries were listed.

    Raises `StorageError`, or `Refused` where the records lie behind a symlink.
    """
    records = {record.path: record for record in read_records(root, ENDS, record_names(root, ENDS))}
    return tuple(
        entry._replace(ending=_ending(records.get(entry.path), entry, leases)) for entry in entries
    )


def _ending(record: Record | None, entry: Entry, leases: Leases) -> Ending:
    if record is None:
        return "unknown"
    try:
        if fields.whole(record.says, "inode") != entry.inode:
            return "unknown"
        end = _RECORDED.get(fields.text(record.says, "end"), "unknown")
    except Unreadable:
        return "unknown"
    if end != "running" or entry.use is not None:
        return end
    return "died" if leases.has_died(entry.path) else "unknown"
