"""The output for GitHub Actions: a step summary, and problems as annotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..core.plan import Plan, Report
from ..core.reasons import Verdict
from ..core.units import spell_size
from .clean import outcome_detail, report_text
from .markdown import github_table, markdown
from .table import Cell, Column
from .text import counted, plain
from .totals import summary

_MOST_ROWS: Final = 200
"""The most rows of a step summary: GitHub drops a summary that is larger than 1 MiB."""

_CLEANED: Final = (
    Column("entry"),
    Column("freed", right=True),
    Column("outcome"),
    Column("why"),
)
_LARGEST: Final = (Column("entry"), Column("size", right=True), Column("next clean"))


def warning(line: str) -> str:
    """`line` as a warning annotation of the workflow run."""
    escaped = line.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::warning title=tempkeep::{escaped}"


def status_summary(title: str, verdicts: Sequence[Verdict]) -> str:
    """The status of one root in Markdown: the totals, and the largest entries."""
    ordered = sorted(verdicts, key=lambda verdict: (-verdict.entry.size, verdict.entry.path))
    rows = [
        [
            Cell(plain(verdict.entry.path)),
            Cell(spell_size(verdict.entry.size)),
            Cell(f"{'stays' if verdict.keep else 'goes'}: {plain(str(verdict.reason))}"),
        ]
        for verdict in ordered[:_MOST_ROWS]
    ]
    return _section(title, summary(verdicts), _LARGEST, rows, len(verdicts))


def clean_summary(title: str, plan: Plan, report: Report | None) -> str:
    """What a clean did in one root, in Markdown; without a `report`, what it would do."""
    if report is None:
        total = f"would clean {counted(len(plan.steps))}"
        rows = [
            [
                Cell(plain(step.entry.path)),
                Cell("" if step.entry.partial else spell_size(step.entry.size)),
                Cell("planned"),
                Cell(plain(str(step.reason))),
            ]
            for step in plan.steps[:_MOST_ROWS]
        ]
    else:
        total = report_text("", report).splitlines()[-1].removeprefix(": ")
        rows = [
            [
                Cell(plain(outcome.step.entry.path)),
                Cell(spell_size(outcome.freed_bytes)),
                Cell(f"{outcome.status} {outcome_detail(outcome)}".strip()),
                Cell(plain(str(outcome.step.reason))),
            ]
            for outcome in report.outcomes[:_MOST_ROWS]
        ]
    return _section(title, total, _CLEANED, rows, len(plan.steps))


def _section(
    title: str, total: str, columns: Sequence[Column], rows: list[list[Cell]], of: int
) -> str:
    lines = [f"### tempkeep: {markdown(title)}", "", total]
    if rows:
        lines += ["", github_table(columns, rows)]
    if len(rows) < of:
        lines += ["", f"{len(rows)} of {counted(of)} shown"]
    return "\n".join([*lines, "", ""])
