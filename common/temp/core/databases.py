"""Treats an SQLite database that is an entry, and the files SQLite keeps beside it, as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .entry import Entry, database_of
from .reasons import Verdict


def sharing(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries, where a database and the files beside it share their newest times, uses and
    pins, so that whatever keeps one keeps the others.
    """
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.kind == "file":
            groups.setdefault(database_of(entry.path), []).append(entry)
    shared: dict[str, Entry] = {}
    for path, group in groups.items():
        if len(group) > 1 and any(one.path == path for one in group):
            newest = max(group, key=lambda one: one.changed)
            for one in group:
                shared[one.path] = one._replace(
                    use=next((other.use for other in group if other.use), None),
                    pin=next((other.pin for other in group if other.pin is not None), None),
                    arrived=max(other.arrived for other in group),
                    changed=newest.changed,
                    used=max(other.used for other in group),
                )
    return tuple(shared.get(entry.path, entry) for entry in entries)


def together(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts, where the files beside a database get the verdict on the database."""
    verdicts = tuple(verdicts)
    files: Mapping[str, Verdict] = {
        one.entry.path: one for one in verdicts if one.entry.kind == "file"
    }
    return tuple(
        files.get(database_of(one.entry.path), one)._replace(entry=one.entry)
        if one.entry.path in files
        else one
        for one in verdicts
    )
