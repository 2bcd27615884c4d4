"""The output of `temp-report`, as text and JSON: hosts and projects, with totals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from ..core.fleet import Fleet, FleetHost, FleetProject, Sums
from ..core.units import spell_duration, spell_size
from .json import SCHEMA
from .table import Cell, Column, Screen, table
from .text import counted, instant, plain

_COLUMNS: Final = (
    Column("host", whole=True),
    Column("project"),
    Column("entries", right=True),
    Column("size", right=True),
    Column("reclaimable", right=True),
    Column("failures", right=True),
    Column("report"),
)


def fleet_summary(fleet: Fleet) -> str:
    """`3 hosts, 5 projects: 18 entries, 3.4 GiB on disk, …`, and the problems."""
    sums = fleet.sums
    projects = sum(len(host.projects) for host in fleet.hosts)
    said = [
        f"{counted(len(fleet.hosts), 'host', 'hosts')}, "
        f"{counted(projects, 'project', 'projects')}: {counted(sums.entries)}",
        f"{spell_size(sums.size)} on disk",
        f"{spell_size(sums.reclaimable)} reclaimable",
        counted(sums.failures, "failure", "failures"),
    ]
    for state in ("missing", "stale"):
        number = sum(host.state == state for host in fleet.hosts)
        said += [f"{number} {state}"] if number else []
    return ", ".join(said)


def report_of(host: FleetHost) -> str:
    """`missing: no report`, `stale: 3 d old` or `5 min old`."""
    if host.age is None:
        return "missing: no report"
    return f"{'stale: ' if host.is_stale else ''}{spell_duration(host.age)} old"


def fleet_text(fleet: Fleet, screen: Screen | None = None) -> str:
    """A row for each host, its projects below it, and a summary."""
    rows = [row for host in fleet.hosts for row in _rows(host)]
    summary = fleet_summary(fleet)
    return f"{summary}\n\n{table(_COLUMNS, rows, screen)}" if rows else summary


def _rows(host: FleetHost) -> Iterator[list[Cell]]:
    name, said = Cell(plain(host.name)), Cell(report_of(host), "" if host.state == "ok" else "red")
    if len(host.projects) == 1:
        (project,) = host.projects
        yield [name, Cell(plain(project.title)), *_cells(project.sums), said]
        return
    numbers = [Cell("")] * 4 if host.age is None else _cells(host.sums)
    yield [name, Cell(""), *numbers, said]
    for project in host.projects:
        yield [Cell(""), Cell(plain(project.title)), *_cells(project.sums), Cell("")]


def _cells(sums: Sums) -> list[Cell]:
    return [
        Cell(str(sums.entries)),
        Cell(spell_size(sums.size)),
        Cell(spell_size(sums.reclaimable)),
        Cell(str(sums.failures), "red" if sums.failures else ""),
    ]


def fleet_json(fleet: Fleet, now: float, unread: Sequence[str]) -> str:
    """The fleet as JSON."""
    said = {
        "schema": SCHEMA,
        "kind": "fleet",
        "at": instant(now),
        "totals": _totals(fleet.sums),
        "hosts": [
            {
                "host": host.name,
                "state": host.state,
                "age_seconds": None if host.age is None else int(host.age),
                "version": host.version or None,
                "totals": _totals(host.sums),
                "projects": [_project(project) for project in host.projects],
            }
            for host in fleet.hosts
        ],
        "largest": [
            {
                "host": entry.host,
                "project": entry.project,
                "path": entry.path,
                "size_bytes": entry.size,
                "goes": entry.goes,
            }
            for entry in fleet.largest
        ],
        "unread": list(unread),
    }
    return json.dumps(said, indent=2, ensure_ascii=True)


def _project(project: FleetProject) -> dict[str, Any]:
    return {
        "project": project.title,
        "root": project.root,
        "at": instant(project.at),
        "free_bytes": project.free,
        "totals": _totals(project.sums),
    }


def _totals(sums: Sums) -> dict[str, int]:
    return {
        "entries": sums.entries,
        "size_bytes": sums.size,
        "reclaimable_bytes": sums.reclaimable,
        "failures": sums.failures,
    }
