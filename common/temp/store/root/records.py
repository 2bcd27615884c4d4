"""Records on disk: one small file of JSON for each entry that has one, in a part of the store.

Pins are such records, and marks. A file is called after its entry, so that it can be found without
reading the others; the path that it says must agree with its name.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...core import fields
from ...core.fields import Unreadable
from ...core.layout import SCRATCH, STORE, Layout
from ...errors import StorageError, without_remedy
from ..system import at
from ..system.opening import opened_in
from ..system.reading import read_json
from ..system.writing import replacing
from .guard import check_store
from .making import make_root

_SUFFIX: Final = ".json"


class Record(NamedTuple):
    """What one file says. One that cannot be read has no `path`, and a `problem`.

    `written` is the time of its last change, in seconds since 1970.
    """

    name: str
    path: str | None
    says: Mapping[str, Any] = {}
    written: float = 0.0
    problem: str = ""


def record_name(relative: str) -> str:
    """The name of the file on the entry at `relative`."""
    from hashlib import blake2b  # which few commands need, and takes milliseconds

    # A digest, since a path of two names of 255 bytes does not fit into one.
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


def read_records(root: Path, part: str, names: Iterable[str]) -> Iterator[Record]:
    """The records of those names that are still there. Raises `StorageError`."""
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
            raise Unreadable("path is not of the entry that the file is called after")
    except Unreadable as problem:
        return Record(name, None, problem=without_remedy(str(problem)))
    written = at.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime
    return Record(name, path, says, written)


def write_record(
    root: Path, part: str, relative: str, says: Mapping[str, Any], layout: Layout = SCRATCH
) -> None:
    """Write the record on the entry at `relative`, in a root of that layout.

    The file appears whole or not at all. Raises `OSError`, which may be a `StorageError`, or
    `Refused` where it would lie behind a symlink.
    """
    check_store(root)
    make_root(str(root), layout)
    with opened_in(root, STORE) as store, contextlib.suppress(FileExistsError):
        at.mkdir(part, dir_fd=store)
    name = record_name(relative)
    with opened_in(root, STORE, part) as directory:
        place = at.anchored(directory, os.path.join(root, STORE, part))
        with replacing(f"{place}/{name}") as file:
            file.write(json.dumps({"path": relative, **says}).encode("ascii"))


def forget_records(root: Path, part: str, is_needed: Callable[[Record], bool]) -> None:
    """Remove the records that are not needed, as far as that can be."""
    for record in read_records(root, part, record_names(root, part)):
        if not is_needed(record):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(root, STORE, part, record.name))
