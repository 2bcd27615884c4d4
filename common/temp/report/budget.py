"""The output of `temp-check`, as text and JSON: exceeded limits, and the largest entries."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from glob import escape
from typing import Any, Final, NamedTuple

from ..core.budget import Budget, Excess, Usage
from ..core.entry import Problem
from ..core.reasons import NO_LIMIT, WITHIN_LIMITS, Verdict, what_would_change
from ..core.units import spell_comparison, spell_duration, spell_inodes, spell_size
from .table import Cell, Column, Screen, table
from .text import age_seconds, counted, instant, plain

_COLUMNS: Final = (
    Column("project", optional=True),
    Column("entry", whole=True),
    Column("size", right=True),
    Column("files", right=True, optional=True),
    Column("age", right=True),
    Column("in use"),
    Column("what frees it"),
)


class Checked(NamedTuple):
    """A budget and the usage that it was compared with.

    `culprits` are the entries that use the most, each with its project. Of the usage, `left_bytes`
    were moved aside by killed or running sweeps, and `undoable_bytes` can still be undone.
    """

    title: str
    budget: Budget
    usage: Usage
    over: tuple[Excess, ...]
    culprits: tuple[tuple[str, Verdict], ...] = ()
    left_bytes: int = 0
    undoable_bytes: int = 0
    problems: tuple[Problem, ...] = ()
    others: int = 0
    """The number of entries, besides the culprits, that count towards the same limit."""


def check_text(checked: Checked, now: float, screen: Screen | None = None) -> str:
    """A line for each exceeded limit, and the culprits; one line if no limit is exceeded."""
    title = plain(checked.title)
    if not checked.over:
        return f"{title}: within budget: {_spell_usage(checked)}"
    lines = [f"{title}: over budget: {_spell_excess(one, checked)}" for one in checked.over]
    if checked.culprits:
        rows = [_row(title, verdict, now) for title, verdict in checked.culprits]
        lines += ["", table(_COLUMNS, rows, screen)]
    if checked.others:
        lines.append(f"and {checked.others} more")
    if checked.undoable_bytes or checked.left_bytes:
        lines.append("")
    if checked.undoable_bytes:
        size = spell_size(checked.undoable_bytes)
        lines.append(f"{size} can be undone; a clean after the undo time deletes it for good")
    if checked.left_bytes:
        size = spell_size(checked.left_bytes)
        lines.append(
            f"{size} were moved aside by a clean; if it was killed, `temp-clean` finishes it"
        )
    return "\n".join(lines)


def _spell_usage(checked: Checked) -> str:
    budget, usage = checked.budget, checked.usage
    said = []
    if budget.max_size is not None:
        said.append(f"{spell_size(usage.size)} of {spell_size(budget.max_size)}")
    if budget.max_entries is not None:
        said.append(f"{usage.entries} of {counted(budget.max_entries)}")
    if budget.max_files is not None:
        said.append(f"{usage.inodes} of {spell_inodes(budget.max_files)}")
    if budget.max_age is not None:
        oldest, allowed = spell_comparison(usage.oldest, budget.max_age)
        said.append(f"oldest {oldest} of {allowed}")
    if budget.min_free is not None:
        free = "unknown" if usage.free is None else spell_size(usage.free)
        said.append(f"{free} free, {spell_size(budget.min_free)} wanted")
    return ", ".join(said)


def _spell_excess(excess: Excess, checked: Checked) -> str:
    if excess.limit == "max entries":
        return f"{counted(excess.found)}, {excess.allowed} allowed"
    if excess.limit == "max files":
        return f"{spell_inodes(excess.found)}, {excess.allowed} allowed"
    if excess.limit == "max age":
        oldest, most = spell_duration(excess.found), spell_duration(excess.allowed)
        if oldest == most:
            oldest, most = spell_comparison(excess.found, excess.allowed)
        return f"the oldest entry has not changed for {oldest}, {most} allowed"
    found, allowed = spell_size(excess.found), spell_size(excess.allowed)
    if excess.limit == "min free":
        return f"{found} free on the filesystem of {plain(checked.usage.root)}, {allowed} wanted"
    return f"{found} of scratch, {allowed} allowed"


def _row(title: str, verdict: Verdict, now: float) -> list[Cell]:
    entry = verdict.entry
    return [
        Cell(plain(title)),
        Cell(plain(entry.path)),
        Cell(spell_size(entry.size)),
        Cell(str(entry.files)),
        Cell(spell_duration(age_seconds(entry, now))),
        Cell("yes" if entry.use is not None else "no", "yellow" if entry.use is not None else ""),
        Cell(plain(what_frees(verdict))),
    ]


def what_frees(verdict: Verdict) -> str:
    """The command that frees the space of the entry, or what must happen first."""
    if not verdict.keep:
        return "temp-clean"
    entry = verdict.entry
    rules = [reason.rule for reason in verdict.reasons if reason.effect == "stays"]
    if rules == ["pinned"]:
        return f"temp-unpin {shlex.quote(entry.path)}, then temp-clean"
    if rules == ["in use"] and entry.use is not None:
        return f"temp-clean, once {entry.use.who} has ended"
    if rules in ([NO_LIMIT], [WITHIN_LIMITS]):
        return f"temp-clean --everything --name {shlex.quote(escape(entry.path))}"
    return what_would_change(verdict)


def check_project(checked: Checked, now: float) -> dict[str, Any]:
    """One comparison as a value for JSON."""
    budget, usage = checked.budget, checked.usage
    return {
        "project": checked.title,
        "over": [excess.limit for excess in checked.over],
        "limits": {
            "max_size_bytes": budget.max_size,
            "min_free_bytes": budget.min_free,
            "max_entries": budget.max_entries,
            "max_files": budget.max_files,
            "max_age_seconds": budget.max_age,
        },
        "size_bytes": usage.size,
        "moved_aside_bytes": checked.left_bytes,
        "undoable_bytes": checked.undoable_bytes,
        "free_bytes": usage.free,
        "entries": usage.entries,
        "inodes": usage.inodes,
        "oldest_seconds": int(usage.oldest),
        "culprits": [_culprit(title, verdict, now) for title, verdict in checked.culprits],
        "problems": [problem._asdict() for problem in checked.problems],
    }


def _culprit(title: str, verdict: Verdict, now: float) -> dict[str, Any]:
    entry = verdict.entry
    return {
        "project": title,
        "path": entry.path,
        "size_bytes": entry.size,
        "inodes": entry.inodes,
        "changed_at": instant(entry.changed),
        "age_seconds": age_seconds(entry, now),
        "in_use": entry.use is not None,
        "goes": not verdict.keep,
        "frees_it": what_frees(verdict),
    }


def tracked_lines(tracked: Sequence[tuple[str, int]]) -> list[str]:
    """A line for each scratch directory with files that git tracks, and how many."""
    return [
        f"git tracks {counted(files, 'file', 'files')} below {plain(path)}: "
        f"git rm -r --cached {plain(shlex.quote(path))}"
        for path, files in tracked
    ]
