"""The files that SQLite and DuckDB keep beside a database, which are deleted with it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Final, TypeVar

from .core.keeping import INDEX, JOURNAL, LOG, LOG_OF_DUCKDB
from .store.claiming.named_removal import NamedOutcome
from .store.system.at import PLAIN_FLAGS

_DATABASE: Final = b"SQLite format 3\0"
_OF_DUCKDB: Final = b"DUCK"
"""Follows a checksum of eight bytes; the log of such a database has no magic number."""
_JOURNAL: Final = (JOURNAL, (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7",))
_LOG: Final = (LOG, (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"))
_INDEX: Final = (INDEX, (b"\x18\xe2\x2d\x00", b"\x00\x2d\xe2\x18"))
"""Their suffixes, and the bytes that they begin with unless they are empty."""

_Outcome = TypeVar("_Outcome", NamedOutcome, NamedOutcome | None)


def companions_of(path: str) -> tuple[str, ...]:
    """The files beside the database at `path`, even if only they are left after a kill.

    The name alone is not enough: a file of SQLite must begin as SQLite writes it or, beside a
    database, be empty. The index of a log counts only together with its log.
    """
    log_of_duckdb = f"{path}{LOG_OF_DUCKDB}"
    if _first_of(log_of_duckdb) is not None and (_first_of(path) or b"")[8:12] == _OF_DUCKDB:
        return (log_of_duckdb,)
    found = [f"{path}{suffix}" for suffix, _ in (_JOURNAL, _LOG, _INDEX)]
    if not any(map(os.path.lexists, found)):
        return ()
    is_there = _begins(path, (_DATABASE,))
    if not is_there and os.path.lexists(path):
        return ()
    journal, log, index = (
        _begins(f"{path}{suffix}", begins, or_empty=is_there)
        for suffix, begins in (_JOURNAL, _LOG, _INDEX)
    )
    return tuple(
        one for one, is_one in zip(found, (journal, log, log and index), strict=True) if is_one
    )


def changed_since(path: str, when: float, *, also_status: bool = False) -> bool:
    """Whether something beside the database at `path` was changed at `when` or later.

    With a write-ahead log, the database itself may stay unchanged for long. `also_status` counts
    the change time, too, which cannot be set back.
    """
    for one in companions_of(path):
        try:
            status = os.lstat(one)
        except OSError:
            continue
        if max(status.st_mtime, status.st_ctime if also_status else status.st_mtime) >= when:
            return True
    return False


def delete_whole(path: str, delete: Callable[[str], _Outcome]) -> _Outcome:
    """The outcome of `delete` for `path` and, once that is gone, for the files beside a database.

    In this order: without its log, a database that stays would be damaged.
    """
    beside = companions_of(path)
    outcome = delete(path)
    if outcome is None or not outcome.is_over or os.path.lexists(path):
        return outcome  # or another database has already been made there
    for one in beside:
        found = delete(one)
        if found is None:
            continue
        freed = outcome.freed_bytes + found.freed_bytes
        length = outcome.length + found.length
        if found.status in ("skipped", "failed"):
            detail = f"{os.path.basename(one)}: {found.detail}"
            outcome = NamedOutcome(found.status, detail, freed, length)
        else:
            outcome = outcome._replace(freed_bytes=freed, length=length)
    return outcome


def _begins(path: str, beginnings: tuple[bytes, ...], *, or_empty: bool = False) -> bool:
    """Whether it is a regular file, not a symlink, that begins with one of these."""
    first = _first_of(path)
    return first.startswith(beginnings) if first else or_empty and first is not None


def _first_of(path: str) -> bytes | None:
    """The first bytes of a regular file; `None` for anything else."""
    try:
        file = os.open(path, os.O_RDONLY | PLAIN_FLAGS)
        try:
            is_plain = stat.S_ISREG(os.fstat(file).st_mode)
            return os.read(file, len(_DATABASE)) if is_plain else None
        finally:
            os.close(file)
    except OSError:
        return None
