"""The entries as CSV, for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from ..core.reasons import Verdict
from .text import age_seconds, instant, plain

_FORMULA = frozenset("=+-@＝＋－＠")
"""The characters with which a formula begins in spreadsheets."""


def status_csv(projects: Iterable[tuple[str, Sequence[Verdict]]], now: float) -> str:
    """The entries of all projects as CSV with a header; sizes in bytes, times in ISO 8601.

    A `'` is put before text that a spreadsheet would run as a formula, so that it stays text.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["project", "category", "name", "size_bytes", "files", "age_seconds", "changed_at",
         "in_use", "pinned", "goes", "rule", "evidence"]
    )  # fmt: skip
    for project, verdicts in projects:
        for verdict in verdicts:
            entry = verdict.entry
            writer.writerow(
                [_csv(project), _csv(entry.category), _csv(entry.name), entry.size, entry.files,
                 age_seconds(entry, now), instant(entry.changed),
                 _csv(entry.use.who if entry.use else ""), _csv(entry.pin or ""),
                 str(not verdict.keep).lower(), verdict.reason.rule,
                 _csv(verdict.reason.evidence)]
            )  # fmt: skip
    return out.getvalue().rstrip("\n")


def _csv(text: str) -> str:
    text = plain(text)
    return f"'{text}" if text.lstrip()[:1] in _FORMULA else text
