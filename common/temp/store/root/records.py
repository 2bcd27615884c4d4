"""Records on disk: a small JSON file for each entry that has one, in a directory of the store.

Pins, arrivals, last uses and the ends of runs are records. A file is named after its entry, so that
it can be found without reading the others; the path in it must match its name.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ...core import fields
from ...core.fields import Unreadable
from ...core.layouts import SCRATCH, STORE, Layout
from ...core.named_tuple import NamedTuple
from ...errors import StorageError, without_remedy
from ..system import at
from ..system.opening import opened_in
from ..system.reading import read_json
from .guard import check_store, is_gone

_SUFFIX: Final = ".json"


class Record(NamedTuple):
    """The content of one file. An unreadable one has a `problem` and no `path`.

    `written` is its modification time, in seconds since 1970.
    """

    name: str
    path: str | None
    says: Mapping[str, Any] = {}
    written: float = 0.0
    problem: str = ""


def record_name(relative: str) -> str:
    """The name of the record for the entry at `relative`."""
    from hashlib import blake2b  # takes milliseconds to import, and few commands need it

    # A digest, since a path of two names of 255 bytes does not fit into one name.
    return f"{blake2b(os.fsencode(relative), digest_size=16).hexdigest()}{_SUFFIX}"


def record_names(root: Path, part: str) -> list[str]:
    """The names of all records in that part of the store, sorted. Raises `StorageError`."""
    directory = os.path.join(root, STORE, part)
    try:
        return sorted(name for name in os.listdir(directory) if name.endswith(_SUFFIX))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError.of(f"cannot read {directory}", error) from error


def read_records(root: Path, part: str, names: Sequence[str]) -> Iterator[Record]:
    """Those of the named records that still exist. Raises `StorageError`."""
    if not names:  # as in most scans
        return
    try:
        with opened_in(root, STORE, part) as directory:
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    yield _read_one(directory, name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError.of(f"cannot read {root / STORE / part}", error) from error


def _read_one(directory: int, name: str) -> Record:
    try:
        says = fields.table(read_json(name, dir_fd=directory))
        path = fields.text(says, "path")
        if record_name(path) != name:
            raise Unreadable("path does not match the name of the file")
    except Unreadable as problem:
        return Record(name, None, problem=without_remedy(str(problem)))
    written = at.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns / 1e9
    return Record(name, path, says, written)


def make_part(root: Path, part: str, layout: Layout = SCRATCH) -> None:
    """Make that part of the store, in a root of that layout, if it is missing. Raises `OSError`."""
    from .making import make_root  # not for a scan, which only reads records

    make_root(str(root), layout)
    with opened_in(root, STORE) as store, contextlib.suppress(FileExistsError):
        at.mkdir(part, dir_fd=store)


def write_record(
    root: Path,
    part: str,
    relative: str,
    says: Mapping[str, Any],
    layout: Layout = SCRATCH,
    *,
    sync: bool = False,
) -> None:
    """Write the record of the entry at `relative`, in a root of that layout.

    The file appears whole or not at all; with `sync` a loss of power leaves it or what it replaced.
    Raises `OSError`, which may be a `StorageError`, or `Refused` if it would lie behind a symlink.
    """
    check_store(root)
    make_part(root, part, layout)
    replace_record(root, part, relative, says, sync=sync)


def replace_record(
    root: Path, part: str, relative: str, says: Mapping[str, Any], *, sync: bool = False
) -> None:
    """As `write_record`, where that part of the store exists. Raises `OSError`."""
    from ..system.writing import replacing  # not for a scan, which only reads records

    name = record_name(relative)
    with opened_in(root, STORE, part) as directory:
        place = at.anchored(directory, os.path.join(root, STORE, part))
        with replacing(f"{place}/{name}") as file:
            file.write(json.dumps({"path": relative, **says}).encode("ascii"))
            if sync:
                file.flush()
                os.fsync(file.fileno())


def remove_record(root: str | Path, part: str, name: str) -> None:
    """Remove the record of that name from that part of the store, if it is there.

    Raises `OSError`.
    """
    with contextlib.suppress(FileNotFoundError), opened_in(root, STORE, part) as directory:
        at.unlink(name, dir_fd=directory)


def forget_gone(root: Path, part: str, *, spare_unread: bool, before: float = float("inf")) -> None:
    """Remove the records of entries that no longer exist, as far as possible.

    An unreadable one could be of any entry: it stays if `spare_unread`. One that was not written
    `before` that time stays, too.
    """
    for record in read_records(root, part, record_names(root, part)):
        if record.path is not None and record.written >= before:
            continue
        if spare_unread if record.path is None else not is_gone(os.path.join(root, record.path)):
            continue
        with contextlib.suppress(OSError):
            remove_record(root, part, record.name)
