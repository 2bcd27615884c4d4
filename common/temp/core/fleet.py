"""Merges the reports of a fleet's hosts: the projects of each host, and the largest entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappush, heapreplace
from typing import Any, Final

from . import fields
from .fields import Unreadable
from .instants import seconds_of
from .named_tuple import NamedTuple

_MOST_LARGEST: Final = 50
_LONGEST: Final = 300
"""The most characters kept of a name or a path."""


class Sums(NamedTuple):
    """The totals of one or several projects. `failures` counts blocking problems, and the scheduled
    cleans that have failed since the last success.
    """

    entries: int = 0
    size: int = 0
    reclaimable: int = 0
    failures: int = 0

    def plus(self, other: Sums) -> Sums:
        """The sum of both."""
        return Sums(*(one + more for one, more in zip(self, other, strict=True)))


class FleetProject(NamedTuple):
    """A root of a host, as it was at the time `at` (seconds since 1970)."""

    title: str
    root: str
    at: float
    free: int | None
    sums: Sums


class FleetEntry(NamedTuple):
    """One of the largest entries of all hosts."""

    size: int
    host: str
    project: str
    path: str
    goes: bool
    root: str
    at: float


class Document(NamedTuple):
    """One output of `temp-status --format json`: the host, the time, and its roots."""

    host: str
    at: float
    version: str
    projects: tuple[FleetProject, ...]
    entries: tuple[FleetEntry, ...]


class FleetHost(NamedTuple):
    """A host: its roots, the largest first, and the age of the oldest part of its report (`None` if
    there is no report). A root reported by several documents is shown as in the newest.
    """

    name: str
    version: str = ""
    age: float | None = None
    is_stale: bool = False
    projects: tuple[FleetProject, ...] = ()

    @property
    def sums(self) -> Sums:
        """The totals of all its projects."""
        return added(project.sums for project in self.projects)

    @property
    def state(self) -> str:
        """`missing`, `stale` or `ok`."""
        return "missing" if self.age is None else "stale" if self.is_stale else "ok"


class Fleet(NamedTuple):
    """All hosts, those that need attention first, then by size; and the largest entries."""

    hosts: tuple[FleetHost, ...]
    largest: tuple[FleetEntry, ...]

    @property
    def sums(self) -> Sums:
        """The totals of all hosts."""
        return added(host.sums for host in self.hosts)

    @property
    def is_well(self) -> bool:
        """Whether every host has reported in time and without failures."""
        return all(host.state == "ok" and not host.sums.failures for host in self.hosts)


def added(sums: Iterable[Sums]) -> Sums:
    """The sum of all."""
    whole = Sums()
    for one in sums:
        whole = whole.plus(one)
    return whole


class Merging:
    """Merges documents one at a time, keeping only what the fleet report needs."""

    def __init__(self) -> None:
        self._newest: dict[str, Document] = {}
        self._projects: dict[str, dict[str, FleetProject]] = {}
        self._largest: list[FleetEntry] = []

    def add(self, document: Document) -> None:
        """Merge a document."""
        host, known = document.host, self._newest.get(document.host)
        if known is None or document.at >= known.at:
            self._newest[host] = document._replace(projects=(), entries=())
        roots = self._projects.setdefault(host, {})
        newer = {
            one.root: one
            for one in document.projects
            if one.root not in roots or roots[one.root].at <= one.at
        }
        roots.update(newer)
        for entry in document.entries:
            if len(self._largest) < _MOST_LARGEST:
                heappush(self._largest, entry)
            elif entry > self._largest[0]:
                heapreplace(self._largest, entry)

    def fleet(self, now: float, expected: Iterable[str] = (), stale: float | None = None) -> Fleet:
        """The fleet merged so far. An `expected` host without a report is missing; one with a part
        older than `stale` seconds is stale.
        """
        hosts = [self._host(name, now, stale) for name in self._newest]
        hosts += [FleetHost(name) for name in dict.fromkeys(expected) if name not in self._newest]

        def order(host: FleetHost) -> tuple[Any, ...]:
            sums = host.sums
            trouble = ("missing", "stale", "ok").index(host.state)
            return trouble, not sums.failures, -sums.size, host.name

        kept = {entry for entry in self._largest if self._is_newest(entry)}
        largest = sorted(kept, key=lambda entry: (-entry.size, entry.host, entry.path))
        return Fleet(tuple(sorted(hosts, key=order)), tuple(largest))

    def _is_newest(self, entry: FleetEntry) -> bool:
        """Whether it comes from the newest report on its root."""
        return self._projects[entry.host][entry.root].at == entry.at

    def _host(self, name: str, now: float, stale: float | None) -> FleetHost:
        newest = self._newest[name]
        projects = sorted(
            self._projects[name].values(), key=lambda one: (-one.sums.size, one.title, one.root)
        )
        oldest = min((one.at for one in projects), default=newest.at)
        # A time equally far in the future comes from a clock that cannot be trusted.
        is_stale = stale is not None and abs(now - oldest) > stale
        return FleetHost(name, newest.version, max(0.0, now - oldest), is_stale, tuple(projects))


def read_document(value: object) -> Document:
    """The document in a parsed status. Raises `Unreadable`."""
    said = fields.table(value)
    if said.get("kind") != "status" or said.get("schema") != 1:
        raise Unreadable("it is not the output of `temp-status --format json`")
    if "host" not in said:
        raise Unreadable("it names no host: the tempkeep that wrote it is too old; update that")
    host = _short(fields.words(said, "host"))
    at = seconds_of(fields.words(said, "at"))
    if at is None:
        raise Unreadable("at is not a time in UTC, such as 2026-11-30T21:00:00Z")
    tables = [fields.table(one, "a project") for one in fields.items(said, "projects")]
    return Document(
        host,
        at,
        _short(fields.words(said, "version")),
        tuple(_project(one, at) for one in tables),
        tuple(entry for one in tables for entry in _entries(one, host, at)),
    )


def _project(said: Any, at: float) -> FleetProject:
    totals = fields.table(said.get("totals"), "totals")
    problems = [fields.table(one, "a problem") for one in fields.items(said, "problems")]
    failures = sum(fields.flag(one, "blocking") for one in problems)
    if said.get("scheduled") is not None:
        failures += fields.whole(fields.table(said["scheduled"], "scheduled"), "failed")
    return FleetProject(
        _short(fields.words(said, "project")),
        _short(fields.words(said, "root")),
        at,
        fields.optional(fields.whole, said, "free_bytes"),
        Sums(
            fields.whole(totals, "entries"),
            fields.whole(totals, "size_bytes"),
            fields.whole(totals, "reclaimable_bytes"),
            failures,
        ),
    )


def _entries(said: Any, host: str, at: float) -> Iterator[FleetEntry]:
    for one in fields.items(said, "entries"):
        entry = fields.table(one, "an entry")
        yield FleetEntry(
            fields.whole(entry, "size_bytes"),
            host,
            _short(fields.words(said, "project")),
            _short(fields.words(entry, "path")),
            fields.flag(entry, "goes"),
            _short(fields.words(said, "root")),
            at,
        )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
