"""How old an entry was before this program renamed it, or failed to remove all of it.

Both change the times by which its age is told. So whoever puts an entry back notes what was seen
before: a record for each, which counts as long as nobody has touched the entry since.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from ...core import fields
from ...core.fields import Unreadable
from ...core.layout import ARRIVALS, SCRATCH, Layout
from .guard import check_store, is_gone
from .records import Record, forget_records, read_records, record_names, write_record


class Arrival(NamedTuple):
    """When an entry came to be and when it last changed, in seconds since 1970, as seen before.

    `unfinished` tells that its removal began and failed, as of `written`. `inode` and `ctime_ns`
    are those of its top, as it was left.
    """

    arrived: float
    changed: float
    unfinished: bool
    written: float
    inode: int
    ctime_ns: int


class Arrivals:
    """The records of one root. Raises `StorageError`, or `Refused` where a symlink leads there."""

    def __init__(self, root: Path) -> None:
        check_store(root)
        names = record_names(root, ARRIVALS)
        found = (_read(record) for record in read_records(root, ARRIVALS, names))
        self._found = dict(one for one in found if one is not None)

    def of(self, relative: str, inode: int, ctime_ns: int) -> Arrival | None:
        """The record of the entry at `relative`; `None` if there is none, or it counts no more.

        Another entry of that name, or one whose top somebody has changed, is none of it.
        """
        one = self._found.get(relative)
        if one is None or (one.inode, one.ctime_ns) != (inode, ctime_ns):
            return None
        return one


def _read(record: Record) -> tuple[str, Arrival] | None:
    says = record.says
    try:
        if record.path is None:
            return None
        return record.path, Arrival(
            fields.number(says, "arrived"),
            fields.number(says, "changed"),
            fields.flag(says, "unfinished"),
            record.written,
            fields.whole(says, "inode"),
            fields.whole(says, "ctime_ns"),
        )
    except Unreadable:
        return None


def note_arrival(
    root: Path,
    relative: str,
    *,
    arrived: float,
    changed: float,
    unfinished: bool = False,
    layout: Layout = SCRATCH,
) -> None:
    """Note how old the entry at `relative` was, before this program touched it.

    To be called when it is back in its place, and nothing more is done to it. Raises `OSError`.
    """
    top = os.lstat(os.path.join(root, relative))
    says: dict[str, Any] = {
        "arrived": arrived,
        "changed": changed,
        "unfinished": unfinished,
        "inode": top.st_ino,
        "ctime_ns": top.st_ctime_ns,
    }
    write_record(root, ARRIVALS, relative, says, layout)


def forget_gone_arrivals(root: Path) -> None:
    """Remove the records of entries that no longer exist, as far as that can be."""
    forget_records(
        root,
        ARRIVALS,
        lambda one: one.path is not None and not is_gone(os.path.join(root, one.path)),
    )
