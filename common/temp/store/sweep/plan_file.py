"""Plan files: written by a dry run, and read by the clean that executes the plan.

A plan file only selects entries. A new scan decides whether they are unchanged and may still be
removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...core import fields
from ...core.disposal import DISPOSALS, Disposal
from ...core.fields import Unreadable
from ...core.plan import Plan, Recorded
from ...errors import InvalidSettings, Refused, reason_of
from ..project.output_file import write_named
from ..system.reading import read_file

_SCHEMA: Final = 1
_KIND: Final = "tempkeep plan"
_MOST_BYTES: Final = 256 << 20


class RecordedRoot(NamedTuple):
    """The part of a plan file about one root."""

    root: Path
    identity: tuple[int, int]
    disposal: Disposal
    steps: tuple[Recorded, ...]


def write_plan(path: Path, plans: Sequence[Plan], at: str) -> None:
    """Write `plans` to `path` atomically; `at` is the time when they were made, as text.

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
                "disposal": plan.disposal,
                "entries": [
                    {
                        "path": step.entry.path,
                        "device": step.entry.device,
                        "inode": step.entry.inode,
                        "changed": step.entry.changed,
                        "size_bytes": step.entry.size,
                        "items": None
                        if step.entry.partial
                        else step.entry.files + step.entry.directories,
                        "last": step.entry.last,
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


def read_plan(path: Path) -> list[RecordedRoot]:
    """The plan in the file `path`.

    Raises `InvalidSettings` if it is not a plan, `Refused` if it is from another machine or an
    unknown version.
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
        fields.words(said, "path"),  # only used for look-ups
        *_identity(said),
        fields.number(said, "changed", float("-inf")),
        fields.optional(fields.whole, said, "size_bytes"),
        fields.optional(fields.whole, said, "items"),
        fields.number(said, "last", float("-inf")) if "last" in said else None,
    )


def _identity(said: Mapping[str, Any]) -> tuple[int, int]:
    return fields.whole(said, "device", most=2**128), fields.whole(said, "inode", most=2**128)


def _no_plan(path: Path) -> InvalidSettings:
    return InvalidSettings(
        f"--apply: {path} is not a plan; `temp-clean --dry-run --plan {path}` draws one"
    )


def _machine() -> str:
    """An identifier of this machine, or of a container on it."""
    identifier = ""
    with contextlib.suppress(OSError):
        identifier = Path("/etc/machine-id").read_text(encoding="ascii", errors="replace").strip()
    return f"{platform.node()} {identifier}".strip()


def _disposal(value: object) -> Disposal:
    for disposal, row in DISPOSALS.items():
        if disposal == value and not row.from_archive:
            return disposal
    raise Unreadable("disposal is not a known one")
