"""The text output of a clean of artefacts: a line for each, and the totals."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.links import freed
from ..core.plan import Plan, Report
from ..core.units import spell_size
from ..report.text import counted, plain
from .printing import say


class ArtefactLines:
    """Prints each artefact as it goes, the totals of each project, and the overall totals."""

    all_roots = False

    def __init__(self) -> None:
        self._totals: list[tuple[int, int]] = []
        self._verb = "deleted"

    @property
    def any(self) -> bool:
        """Whether there was an artefact, kept or not."""
        return bool(self._totals)

    def done(self, line: str) -> None:
        """Print the line of an artefact that is gone."""
        say(line)

    def add(self, title: str, plan: Plan, report: Report | None, failed: int) -> None:
        """Print what stays, and the totals of one project; in a dry run also what would go."""
        if not (plan.steps or plan.kept):
            return
        entries = [step.entry for step in plan.steps]
        if report is None:
            self._verb = "would delete"
            sizes = freed(entries)
            for step, size in zip(plan.steps, sizes, strict=True):
                path, why = plain(step.entry.path), plain(str(step.reason))
                say(f"would delete {path}  {spell_size(size)}  ({why})")
            self._totals.append((len(entries), sum(sizes)))
        else:
            for outcome in report.outcomes:
                if outcome.status == "skipped":
                    say(_kept_line(outcome.step.entry.path, outcome.detail))
            self._totals.append((len(report.done), report.freed_bytes))
        for verdict in plan.kept:
            say(_kept_line(verdict.entry.path, verdict.reason.evidence))
        say(self._total(title, *self._totals[-1]))

    def end(self, empty: Sequence[str] = ()) -> None:
        """Print the totals of all projects, if there are several."""
        if len(self._totals) > 1:
            counts, sizes = zip(*self._totals, strict=True)
            say(self._total(f"{len(counts)} projects", sum(counts), sum(sizes)))

    def _total(self, title: str, count: int, size: int) -> str:
        what = counted(count, "artefact", "artefacts")
        return f"{plain(title)}: {self._verb} {what}, {spell_size(size)}"


def _kept_line(path: str, why: str) -> str:
    return f"kept {plain(path)}: {plain(why)}"
