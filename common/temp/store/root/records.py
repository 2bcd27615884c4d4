"""Records on disk: a small JSON file for each entry that has one, in a directory of the store.

Pins, arrivals, last uses and the ends of runs are records. A file is named after its entry, so that
it can be found without reading the others; the path in the file must match its name.
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
from ..project.store_guard import check_store, is_gone
from ..system import at
from ..system.at import ROOT_FLAGS
from ..system.opening import opened, opened_below, opened_in
from ..system.reading import read_json

_SUFFIX: Final = ".json"


class Record(NamedTuple):
    """The content of one file. An unreadable file has a `problem` and no `path`.

    `written` is its modification time, in seconds since 1970; `identity` its device and inode.
    """

    name: str
    path: str | None
    says: Mapping[str, Any] = {}
    written: float = 0.0
    problem: str = ""
    identity: tuple[int, int] = (0, 0)


def record_name(relative: str) -> str:
    """The name of the record for the entry at `relative`."""
    from hashlib import blake2b  # takes milliseconds to import, and few commands need it

    # A digest, since a path of two 255-byte names does not fit into one file name.
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
    """The named records that still exist. Raises `StorageError`."""
    if not names:  # the usual case in scans
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
    status = at.stat(name, dir_fd=directory, follow_symlinks=False)
    identity = status.st_dev, status.st_ino
    try:
        says = fields.table(read_json(name, dir_fd=directory))
        path = fields.text(says, "path")
        if record_name(path) != name:
            raise Unreadable("path does not match the name of the file")
    except Unreadable as problem:
        return Record(name, None, problem=without_remedy(str(problem)), identity=identity)
    return Record(name, path, says, status.st_mtime_ns / 1e9, identity=identity)


def make_part(root: Path, part: str, layout: Layout = SCRATCH) -> None:
    """Make that part of the store, in a root of that layout, if missing. Raises `OSError`."""
    from .making import make_root  # a scan only reads records, and does not need it

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

    The write is atomic; with `sync`, a power failure leaves either the new record or the old one.
    Raises `OSError`, possibly a `StorageError`, or `Refused` if it would be behind a symlink.
    """
    check_store(root)
    make_part(root, part, layout)
    replace_record(root, part, relative, says, sync=sync)


def replace_record(
    root: Path, part: str, relative: str, says: Mapping[str, Any], *, sync: bool = False
) -> None:
    """Like `write_record`, but that part of the store must exist. Raises `OSError`."""
    from ..system.writing import replacing  # a scan only reads records, and does not need it

    name = record_name(relative)
    with opened_in(root, STORE, part) as directory:
        place = at.anchored(directory, os.path.join(root, STORE, part))
        with replacing(f"{place}/{name}") as file:
            file.write(json.dumps({"path": relative, **says}).encode("ascii"))
            if sync:
                file.flush()
                os.fsync(file.fileno())


def remove_record(root: str | Path, part: str, record: Record) -> None:
    """Remove the record from that part of the store, if it is still the same file.

    By now, the path may lead to another store, which may have a record of the same name. Raises
    `OSError`.
    """
    with contextlib.suppress(FileNotFoundError), opened_in(root, STORE, part) as directory:
        status = at.stat(record.name, dir_fd=directory, follow_symlinks=False)
        if (status.st_dev, status.st_ino) == record.identity:
            at.unlink(record.name, dir_fd=directory)


def forget_gone(root: Path, part: str, *, spare_unread: bool, before: float = float("inf")) -> None:
    """Remove the records of entries that no longer exist; files that cannot be removed stay.

    An unreadable record could be about any entry: it stays if `spare_unread`. A readable one is
    only removed if it was written `before` that time.
    """
    names = record_names(root, part)
    if not names:
        return
    try:
        # Use one open root for all: by now, its path may lead to another root with other records.
        with opened(root, ROOT_FLAGS) as top, opened_below(top, STORE, part) as directory:
            for name in names:
                with contextlib.suppress(OSError):
                    record = _read_one(directory, name)
                    if record.path is None:
                        is_over = not spare_unread
                    else:
                        is_over = record.written < before and is_gone(record.path, dir_fd=top)
                    if is_over:
                        at.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError.of(f"cannot read {root / STORE / part}", error) from error
