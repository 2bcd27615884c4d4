"""Records of when `cache_dir` or `hold` last gave out an entry.

The time is the modification time of the record, so that recording a use takes one system call, at
most once an hour.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ...core import fields
from ...core.fields import Unreadable
from ...core.layouts import SCRATCH, STORE, USED, Layout
from ...core.named_tuple import NamedTuple
from ...errors import Refused
from ..project.store_guard import check_store
from ..system import at
from ..system.locks import lock_file
from ..system.opening import opened_in
from .records import make_part, read_records, record_name, record_names, write_record

COARSE: Final = 3600.0
"""How many seconds must pass before a use is recorded again."""

_TURN_SECONDS: Final = 10.0
"""How many seconds to wait for another process's cache lookup, which takes milliseconds."""


class LastUse(NamedTuple):
    """The record of one entry: when it was last used, and for a cache its key and version.

    Times are in seconds since 1970.
    """

    used: float
    made: float = 0.0
    key: str = ""
    version: str = ""


def last_uses(root: Path) -> dict[str, LastUse]:
    """The records of `root`, by entry path. Unreadable records are left out.

    Raises `StorageError`, or `Refused` if they are behind a symlink.
    """
    check_store(root)
    return dict(_read(root, record_names(root, USED)))


def last_use_of(root: Path, relative: str) -> LastUse:
    """The record of the entry at `relative`, or an empty one. Raises what `last_uses` raises."""
    check_store(root)
    return dict(_read(root, [record_name(relative)])).get(relative, LastUse(0.0))


def _read(root: Path, names: Sequence[str]) -> Iterator[tuple[str, LastUse]]:
    for record in read_records(root, USED, names):
        with contextlib.suppress(Unreadable):
            if record.path is not None:
                made = fields.optional(fields.number, record.says, "made") or 0.0
                key = fields.optional(fields.words, record.says, "key") or ""
                version = fields.optional(fields.words, record.says, "version") or ""
                yield record.path, LastUse(record.written, made, key, version)


def last_use(root: Path, relative: str) -> float:
    """When the entry at `relative` was last used; 0 if unknown or in the future."""
    try:
        with opened_in(root, STORE, USED) as directory:
            status = at.stat(record_name(relative), dir_fd=directory, follow_symlinks=False)
    except OSError:
        return 0.0
    used = status.st_mtime_ns / 1e9
    return used if used <= time.time() else 0.0


def note_use(root: Path, relative: str, layout: Layout = SCRATCH) -> None:
    """Record that the entry at `relative` is used now, unless a use in the last hour is recorded.

    Raises `OSError`.
    """
    from ..system.own_files import set_time  # a scan only reads records, and does not need it

    check_store(root)
    name = record_name(relative)
    try:
        with opened_in(root, STORE, USED) as directory:
            if _is_fresh(at.stat(name, dir_fd=directory, follow_symlinks=False)):
                return
            set_time(name, None, dir_fd=directory, place=str(root / STORE / USED))
    except (FileNotFoundError, Refused):  # write a new record, replacing any foreign file
        write_record(root, USED, relative, {}, layout)


def note_made(
    root: Path, relative: str, key: str, version: str, *, made: float | None = None
) -> None:
    """Record that the cache at `relative` is used now, and was `made` at that time (seconds since
    1970; default: now) for that key and version.

    Raises `OSError`.
    """
    says = {"made": time.time() if made is None else made, "key": key, "version": version}
    write_record(root, USED, relative, says)


def carry_use(root: Path, relative: str, to: str) -> None:
    """Copy the last-use record of the entry at `relative`, which is about to be moved to `to`.

    Raises `OSError`, or `TempError` if the records are behind a symlink.
    """
    from ..system.own_files import set_time

    for record in read_records(root, USED, [record_name(relative)]):
        if record.path == relative:
            says = {key: value for key, value in record.says.items() if key != "path"}
            write_record(root, USED, to, says)
            with opened_in(root, STORE, USED) as directory:
                name, place = record_name(to), str(root / STORE / USED)
                set_time(name, record.written, dir_fd=directory, place=place)


def _is_fresh(status: os.stat_result) -> bool:
    return 0 <= time.time() - status.st_mtime_ns / 1e9 < COARSE


@contextlib.contextmanager
def turn_to_look(root: Path) -> Iterator[None]:
    """Let processes look for a cache one after the other, so that all find the same one.

    A process that gets no turn within ten seconds, because another one was stopped during its turn,
    goes ahead anyway: at worst there are two caches. Raises `OSError`.
    """
    make_part(root, USED)
    with opened_in(root, STORE, USED) as directory:
        end = time.monotonic() + _TURN_SECONDS
        while not lock_file(directory) and time.monotonic() < end:
            time.sleep(0.005)
        yield
