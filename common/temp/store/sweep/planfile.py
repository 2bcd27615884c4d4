"""A plan in a file: written by a dry run, read again by whoever carries it out.

Nothing in the file is believed but which entries are meant. Whether they are still the same, and
may still go, is told by a fresh scan.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...core import fields
from ...core.fields import Unreadable
from ...core.plan import Disposal, Plan, Recorded
from ...errors import InvalidSettings, Refused, StorageError, reason_of
from ..project.project import absolute, check_way
from ..system.reading import read_file
from ..system.writing import append

_SCHEMA: Final = 1
_KIND: Final = "tempkeep plan"
_MOST_BYTES: Final = 256 << 20


class RecordedRoot(NamedTuple):
    """What a plan file says of one root."""

    root: Path
    identity: tuple[int, int]
    disposal: Disposal
    steps: tuple[Recorded, ...]


def write_plan(path: Path, plans: Sequence[Plan], at: str) -> None:
    """Write `plans` to `path`, whole or not at all; `at` is when they were drawn, in words.

    Raises `StorageError`.
    """
    projects = []
    for plan in plans:
        if not plan.steps:
            continue
        status = os.stat(plan.root)
        projects.append(
            {
                "root": plan.root,
                "device": status.st_dev,
                "inode": status.st_ino,
                "disposal": plan.steps[0].disposal,
                "entries": [
                    {
                        "path": step.entry.path,
                        "device": step.entry.device,
                        "inode": step.entry.inode,
                        "changed": step.entry.changed,
                        "size_bytes": step.entry.size,
                        "reason": str(step.reason),
                    }
                    for step in plan.steps
                ],
            }
        )
    said = {
        "kind": _KIND,
        "schema": _SCHEMA,
        "machine": _machine(),
        "at": at,
        "projects": projects,
    }
    write_named(path, json.dumps(said, indent=2, ensure_ascii=True) + "\n")


def write_named(path: Path, content: str, remedy: str = "choose another file") -> None:
    """Write to what a person named: a file whole or not at all, also behind a link, if that was not
    planted; a pipe or a device as it comes, which stays what it is.

    A pipe that nobody reads is not waited for. Raises `StorageError`, or `Refused` as `check_way`
    and for a pipe of another user.
    """
    is_special = os.path.abspath(path).startswith(("/dev/", "/proc/"))
    if not is_special:
        check_way(absolute(path))
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        is_file = True
    except OSError as error:
        raise StorageError.of(f"cannot write {path}", error, remedy) from error
    # What /dev/stdout leads to may be a file with something in it, and root could replace the link.
    if is_file and not is_special:
        write_whole(Path(os.path.realpath(path)) if path.is_symlink() else path, content, remedy)
        return
    try:
        append(path, content, anybodys=is_special)
    except OSError as error:
        raise StorageError.of(f"cannot write {path}", error, remedy) from error


def write_whole(path: Path, content: str, remedy: str = "choose another file") -> None:
    """Write a file whole or not at all. Raises `StorageError`."""
    fresh = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        with open(fresh, "x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(content)
        os.replace(fresh, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise StorageError.of(f"cannot write {path}", error, remedy) from error


def read_plan(path: Path) -> list[RecordedRoot]:
    """What the plan in `path` says.

    Raises `InvalidSettings` if there is no plan in it, `Refused` if it is of another machine or of
    a version that is not known.
    """
    try:
        data = read_file(path, _MOST_BYTES, follow=True)
    except OSError as error:
        raise InvalidSettings(f"--apply: {path} cannot be read: {reason_of(error)}") from None
    except Unreadable as problem:
        raise InvalidSettings(f"--apply: {path} {problem}") from None
    try:
        said = fields.table(fields.parsed(data))
        if said.get("kind") != _KIND:
            raise _no_plan(path)
        schema = fields.whole(said, "schema")
        if schema != _SCHEMA:
            raise Refused(f"{path} is a plan of version {schema}; draw it again with this tempkeep")
        if said.get("machine") != _machine():
            raise Refused(f"{path} was drawn on another machine; draw it again on this one")
        return [_read_root(fields.table(project)) for project in fields.items(said, "projects")]
    except Unreadable:
        raise _no_plan(path) from None


def _read_root(said: Mapping[str, Any]) -> RecordedRoot:
    return RecordedRoot(
        Path(fields.words(said, "root")),
        _identity(said),
        _disposal(said.get("disposal")),
        tuple(_read_step(fields.table(entry)) for entry in fields.items(said, "entries")),
    )


def _read_step(said: Mapping[str, Any]) -> Recorded:
    return Recorded(
        fields.words(said, "path"),  # which is only looked up
        *_identity(said),
        fields.number(said, "changed", float("-inf")),
    )


def _identity(said: Mapping[str, Any]) -> tuple[int, int]:
    return fields.whole(said, "device", most=2**128), fields.whole(said, "inode", most=2**128)


def _no_plan(path: Path) -> InvalidSettings:
    return InvalidSettings(
        f"--apply: {path} is no plan; `temp-clean --dry-run --plan {path}` draws one"
    )


def _machine() -> str:
    """What tells this machine, and a container on it, from others."""
    identifier = ""
    with contextlib.suppress(OSError):
        identifier = Path("/etc/machine-id").read_text(encoding="ascii", errors="replace").strip()
    return f"{platform.node()} {identifier}".strip()


def _disposal(value: object) -> Disposal:
    if value in ("delete", "trash", "archive", "undo"):
        return value
    raise Unreadable("disposal is none that is known")
