"""The output of `temp-status --history`. Text from the disk is made safe to print here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ..core.entry import Problem
from ..core.history import PastSweep, as_said
from ..core.units import spell_size
from .table import Cell, Column, Screen, table
from .text import counted, plain

_COLUMNS: Final = (
    Column("when"),
    Column("who", whole=True),
    Column("policy", optional=True),
    Column("gone", right=True, optional=True),
    Column("failed", right=True),
    Column("skipped", right=True),
    Column("freed", right=True),
    Column("why"),
)

_COUNTS: Final = (4, 5)
"""The indices of the columns that a terminal does not show if they only have zeros."""


def history_text(
    title: str, sweeps: Sequence[PastSweep], recorded: int, screen: Screen | None = None
) -> str:
    """A table of the given sweeps of one root; `recorded` is the number of all recorded sweeps."""
    lines = [plain(title), ""]
    if not sweeps:
        return "\n".join([*lines, "no sweeps"])
    rows = list(map(_row, sweeps))
    none = {index for index in _COUNTS if screen and all(row[index].text == "0" for row in rows)}
    shown = [index for index in range(len(_COLUMNS)) if index not in none]
    columns = [_COLUMNS[index] for index in shown]
    lines.append(table(columns, [[row[index] for index in shown] for row in rows], screen))
    if len(sweeps) < recorded:
        lines += ["", f"{len(sweeps)} of {counted(recorded, 'sweep', 'sweeps')} shown"]
    return "\n".join(lines)


def _row(sweep: PastSweep) -> list[Cell]:
    who = sweep.who
    failed = Cell(str(sweep.failed), "red" if sweep.failed else "")
    return [
        Cell(plain(sweep.at)),
        Cell(plain(f"{who.face or who.command} ({who.user}@{who.host})")),
        Cell(plain(sweep.policy)),
        Cell(str(sweep.gone)),
        failed,
        Cell(str(sweep.skipped)),
        Cell("in background" if sweep.background else spell_size(sweep.freed_bytes)),
        Cell(plain(why_gone(sweep))),
    ]


def why_gone(sweep: PastSweep) -> str:
    """The number of entries that went by each rule, and other details of a sweep."""
    said = [f"{number} {rule}" for rule, number in sweep.rules]
    if sweep.dropped:
        said.append(f"{sweep.dropped} archived or set aside before deleted for good")
    if sweep.finished:
        said.append(f"finished {sweep.finished} left by a clean that was killed")
    if sweep.interrupted:
        said.append("interrupted")
    return ", ".join(said)


def history_project(
    title: str,
    root: str,
    sweeps: Iterable[PastSweep],
    recorded: int,
    problems: Iterable[Problem],
) -> dict[str, Any]:
    """The history of one root as a value for JSON."""
    return {
        "project": title,
        "root": root,
        "recorded": recorded,
        "sweeps": [as_said(sweep) for sweep in sweeps],
        "problems": [problem._asdict() for problem in problems],
    }
