"""Carries out drafts and reports the outcomes: in lines, as JSON, or in one line per root."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from ..core.plan import Outcome, Plan, Report
from ..core.units import spell_size
from ..errors import Refused, StorageError, TempError
from ..report.clean import outcome_line, plan_line, plan_text, report_line, report_text
from ..report.progress import ProgressLine
from ..report.text import counted, plain
from .collecting import pass_over_what_is_there
from .drafts import Draft
from .places import Place
from .printing import add_to_summary, complain, print_problems, printer, say


class Sink(Protocol):
    """Reports the outcome for each root in turn."""

    all_roots: bool
    """Whether roots with nothing to do are reported too."""

    def done(self, line: str) -> None:
        """Report an entry that has just been processed, by its line."""

    def add(self, title: str, plan: Plan, report: Report | None, failed: int) -> None:
        """Report a root: only its plan in a dry run, or if it `failed`."""

    def end(self, empty: Sequence[str]) -> None:
        """Finish the report; `empty` has the titles of the roots that were left out."""


def _nothing(empty: Sequence[str]) -> str:
    who = empty[0] if len(empty) == 1 else f"{len(empty)} projects"
    return f"{plain(who)}: nothing to clean"


class Lines:
    """For people: each entry as it goes, and the totals of each root."""

    all_roots = False

    def __init__(self, *, silent: bool = False) -> None:
        """With `silent`, nothing is printed if there is nothing to clean."""
        self._silent = silent
        self._say = printer()

    def done(self, line: str) -> None:
        """Print the line."""
        self._say(line)

    def add(self, title: str, plan: Plan, report: Report | None, failed: int) -> None:
        """Print the totals, or the plan of a dry run."""
        if report is not None:
            say(report_text(title, report))
        elif not failed:
            say(plan_text(title, plan))

    def end(self, empty: Sequence[str]) -> None:
        """Say where there was nothing to clean."""
        if empty and not self._silent:
            print(_nothing(empty))


class Json:
    """For programs: one document."""

    all_roots = True

    def __init__(self, now: float, *, dry_run: bool) -> None:
        self._now = now
        self._dry_run = dry_run
        self._documents: list[dict[str, Any]] = []

    def done(self, line: str) -> None:
        """Do nothing: the document has all entries."""

    def add(self, title: str, plan: Plan, report: Report | None, failed: int) -> None:
        """Take the plan and the report."""
        from ..report.json import clean_project

        self._documents.append(clean_project(title, plan, report))

    def end(self, empty: Sequence[str]) -> None:
        """Print the document."""
        from ..report.json import document

        print(document("clean", self._now, self._documents, dry_run=self._dry_run))


class OneLine:
    """For a log: a line for each root, in `lines`; `roots` has their titles, plans and reports."""

    all_roots = False

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.roots: list[tuple[str, Plan, Report | None]] = []

    def done(self, line: str) -> None:
        """Do nothing: the totals count it."""

    def add(self, title: str, plan: Plan, report: Report | None, failed: int) -> None:
        """Take the totals."""
        self.roots.append((title, plan, report))
        if report is not None:
            self.lines.append(report_line(title, report))
        elif failed:
            self.lines.append(f"{plain(title)}: could not be cleaned")
        else:
            self.lines.append(plan_line(title, plan))

    def end(self, empty: Sequence[str]) -> None:
        """Say where there was nothing to clean."""
        if empty:
            self.lines.append(_nothing(empty))


class Manner(NamedTuple):
    """How drafts are carried out: for which `face`, and what counts as a failure."""

    face: str = "temp-clean"
    dry_run: bool = False
    background: bool = False
    all_must_go: bool = False
    """Whether skipping an entry that changed at the last moment is a failure."""


def carry_out(drafts: Sequence[Draft], sink: Sink, manner: Manner) -> int:
    """Carry out the drafts and report them to `sink`; return the exit code."""
    code = 0
    empty: list[str] = []
    for draft in drafts:
        if draft.is_empty and (draft.place.is_extra or not sink.all_roots):
            if not draft.place.is_extra:
                empty.append(_missing(draft.place) or draft.place.title)
            if not manner.dry_run:
                _forget_dead(draft.plan)
            continue
        code = max(code, _carry_out_one(draft, sink, manner))
    sink.end(empty)
    return code


def _missing(place: Place) -> str:
    return f"{place.root} does not exist yet" if place.is_to_come() else ""


def _carry_out_one(draft: Draft, sink: Sink, manner: Manner) -> int:
    place, plan = draft.place, draft.plan
    report = None
    problems = plan.problems
    failed = draft.code
    if not manner.dry_run and not failed:
        try:
            report = _execute(place, plan, sink, manner)
            problems = report.problems
        except (StorageError, Refused) as error:
            failed = error.exit_code
            problems = (*problems, place.problem(error))
    if not failed:
        add_to_summary(partial(_summary, place.title, plan, report))
    sink.add(place.title, plan, report, failed)
    unseen = print_problems([(place.title, problem) for problem in problems])
    if report is None:
        return max(failed, unseen)
    skipped = any(outcome.status == "skipped" for outcome in report.outcomes)
    return int(report.failed or (manner.all_must_go and skipped))


def _summary(title: str, plan: Plan, report: Report | None) -> str:
    from ..report.github import clean_summary

    return clean_summary(title, plan, report)


def _forget_dead(plan: Plan) -> None:
    """Carry out an empty plan: it still removes the owner files of killed processes."""
    from ..store.sweep.sweep import execute

    with contextlib.suppress(TempError, OSError):
        execute(plan)


class _Progress:
    """The progress of a sweep, as a line on the terminal."""

    def __init__(self, plan: Plan, sink: Sink) -> None:
        self._sink = sink
        self.line = ProgressLine("cleaning:")
        steps = (*plan.archives, *plan.steps)
        self.whole = len(steps)
        # If not everything was measured, progress counts entries instead of files.
        inside = sum(step.entry.files + step.entry.directories for step in steps)
        self._inside = inside if plan.is_measured else 0
        self.done = self.freed = self._gone = 0

    def _show(self) -> None:
        if not self.line.is_due:
            return
        share = self._gone / self._inside if self._inside else self.done / max(self.whole, 1)
        self.line(self.done, self.freed, of=self.whole, files=self._gone, share=share)

    def on_freed(self, files: int, size: int) -> None:
        """Show that this many files and bytes are gone."""
        self._gone, self.freed = files, size
        self._show()

    def on_outcome(self, outcome: Outcome) -> None:
        """Report one more finished step."""
        self.done += 1
        if outcome.status == "failed":
            self.line.clear()
            complain(outcome_line(outcome))
        elif outcome.status == "done":
            self.line.clear()
            self._sink.done(outcome_line(outcome))
        self._show()


def _execute(place: Place, plan: Plan, sink: Sink, manner: Manner) -> Report:
    from ..store.sweep.sweep import execute

    progress = _Progress(plan, sink)
    pass_over_what_is_there()
    try:
        return execute(
            plan,
            archive=place.archive,
            archive_format=place.settings.archive_format,
            on_outcome=progress.on_outcome,
            on_freed=progress.on_freed,
            workers=place.settings.workers,
            background=manner.background,
            face=manner.face,
        )
    except KeyboardInterrupt:
        progress.line.clear()
        print(
            f"interrupted: {progress.done} of {counted(progress.whole)} dealt with, "
            f"{spell_size(progress.freed)} freed; the next temp-clean finishes what was begun",
            file=sys.stderr,
        )
        raise
    finally:
        progress.line.clear()
