"""What SQLite keeps beside a database: it goes with the database, and is as much a part of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Final, TypeVar

from .store.claiming.named import NamedOutcome
from .store.system.at import PLAIN_FLAGS

_DATABASE: Final = b"SQLite format 3\0"
_COMPANIONS: Final[dict[str, tuple[bytes, ...]]] = {
    "-journal": (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7",),
    "-wal": (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"),
    "-shm": (b"\x18\xe2\x2d\x00", b"\x00\x2d\xe2\x18"),
}
"""What their names end with, and what they begin with."""

_Outcome = TypeVar("_Outcome", NamedOutcome, NamedOutcome | None)


def companions_of(path: str) -> tuple[str, ...]:
    """The files beside the database at `path`, also if it has gone and a kill left them."""
    found = tuple(f"{path}{suffix}" for suffix in _COMPANIONS)
    if not any(map(os.path.lexists, found)):
        return ()
    if _begins(path, (_DATABASE,)):
        return tuple(one for one in found if _begins(one, (b"",)))
    if os.path.lexists(path):
        return ()
    return tuple(
        one for one, begin in zip(found, _COMPANIONS.values(), strict=True) if _begins(one, begin)
    )


def changed_since(path: str, when: float) -> bool:
    """Whether something beside the database at `path` was changed at `when` or later.

    With a write-ahead log, the database itself may stay as it is for long.
    """
    for one in companions_of(path):
        try:
            if os.lstat(one).st_mtime >= when:
                return True
        except OSError:
            continue
    return False


def delete_whole(path: str, delete: Callable[[str], _Outcome]) -> _Outcome:
    """The outcome of `delete` for `path` and, once that is gone, for what is beside a database.

    In this order: without its log, a database that stays would be damaged.
    """
    beside = companions_of(path)
    outcome = delete(path)
    if outcome is None or not outcome.is_over:
        return outcome
    for one in beside:
        found = delete(one)
        if found is None:
            continue
        freed = outcome.freed_bytes + found.freed_bytes
        if found.status in ("skipped", "failed"):
            detail = f"{os.path.basename(one)}: {found.detail}"
            outcome = NamedOutcome(found.status, detail, freed)
        else:
            outcome = outcome._replace(freed_bytes=freed)
    return outcome


def _begins(path: str, beginnings: tuple[bytes, ...]) -> bool:
    """Whether it is a plain file, not a link, that begins with one of these."""
    try:
        file = os.open(path, os.O_RDONLY | PLAIN_FLAGS)
        try:
            plain = stat.S_ISREG(os.fstat(file).st_mode)
            return plain and os.read(file, len(_DATABASE)).startswith(beginnings)
        finally:
            os.close(file)
    except OSError:
        return False
