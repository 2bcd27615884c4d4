"""The text output of a clean: the plan of a dry run, each outcome, and the totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..core.disposal import DISPOSALS
from ..core.plan import Outcome, Plan, Report, Shortfall, Step
from ..core.reasons import ARCHIVE_KEEPS_SPACE, Verdict
from ..core.units import spell_duration, spell_size
from .text import counted, instant, plain

_NAMED_RULES = frozenset({"in use", "pinned", "unsaved work", "mounted", "unreadable", "tracked"})
"""Reasons to keep an entry that get a line each; entries kept for other reasons are counted."""


def plan_text(title: str, plan: Plan) -> str:
    """What a clean would do in one root."""
    lines = [
        f"would {DISPOSALS[step.disposal].verb} {plain(step.entry.path)}  "
        f"{spell_size(step.entry.size)}{_staying(step)}  ({plain(str(step.reason))})"
        for step in (*plan.archives, *plan.steps)
    ]
    return "\n".join([*lines, *_kept_lines(plan), *_plan_totals(title, plan)])


def _staying(step: Step) -> str:
    return "" if step.stays is None else f", of which {spell_size(step.stays)} stay"


def plan_line(title: str, plan: Plan) -> str:
    """The totals in one line: how many entries, how many bytes, and whether the disk stays low."""
    return "; ".join(_plan_totals(title, plan))


def _plan_totals(title: str, plan: Plan) -> list[str]:
    disposal = plan.disposal
    way = DISPOSALS[disposal]
    total = f"{plain(title)}: would {way.verb} {counted(len(plan.steps))}"
    if plan.frees_space(disposal):
        total += f" and free {spell_size(plan.planned_bytes)}"
        if plan.linked_bytes:
            total += f" ({spell_size(plan.linked_bytes)} stay, held by hard links elsewhere)"
    else:
        total += way.planned.format(undo_for=spell_duration(plan.undo_for))
    if plan.archives:
        count = _counted_archives(plan.archives)
        total += f"; would delete {count} and free {spell_size(plan.planned_archive_bytes)}"
    waiting = sum(not leftover.being_freed for leftover in plan.leftovers)
    if waiting:
        total += f"; would finish {waiting} left by a clean that was killed"
    lacking = shortfall_lines(title, plan.shortfall(), "would be free")
    return [total + _kept_summary(plan), *lacking]


def _counted_archives(steps: Sequence[Step]) -> str:
    """`2 archives and 1 entry set aside before`."""
    counts = Counter(step.disposal for step in steps)
    return " and ".join(
        counted(counts[disposal], *way.nouns)
        for disposal, way in DISPOSALS.items()
        if counts[disposal]
    )


def shortfall_lines(title: str, shortfall: Shortfall | None, verb: str) -> list[str]:
    """A line that says that the disk is still low, and what takes its space; none if it is not."""
    if shortfall is None:
        return []
    held = ", ".join(f"{spell_size(size)} {rule}" for rule, size in shortfall.held)
    left = "the next clean removes more" if shortfall.more else "nothing else here can be removed"
    said = f"held by what stays: {held}" if held else left
    places = {rule for rule, _ in shortfall.held}
    if ARCHIVE_KEEPS_SPACE in places:
        said += "; clean without `archive`, or set archive_location to another disk"
    for way in DISPOSALS.values():
        if way.low_space and way.held in places:
            said += f"; {way.low_space}"
    return [
        f"{plain(title)}: low space: {spell_size(shortfall.reached)} {verb}, "
        f"{spell_size(shortfall.wanted)} wanted; {said}"
    ]


def outcome_line(outcome: Outcome) -> str:
    """A line with the outcome for one entry."""
    path = plain(outcome.step.entry.path)
    if outcome.status == "done":
        size = f"  {spell_size(outcome.freed_bytes)}" if outcome.freed_bytes else ""
        done = DISPOSALS[outcome.step.disposal].done
        said = outcome_detail(outcome).removeprefix(f"{done} ")
        detail = f"  {said}" if said else ""
        reason = plain(str(outcome.step.reason))
        return f"{done} {path}{size}{detail}  ({reason})"
    return f"{outcome.status} {path}: {plain(outcome.detail)}"


def outcome_detail(outcome: Outcome) -> str:
    """What there is to say besides the status; often ""."""
    if outcome.until is None:
        return plain(outcome.detail)
    return f"can be undone until {instant(outcome.until)}, frees no space until then"


def report_text(title: str, report: Report) -> str:
    """What a clean did in one root; printed after the lines of its entries."""
    lines = _kept_lines(report.plan)
    every = (*report.dropped, *report.outcomes)
    lines += [outcome_line(outcome) for outcome in every if outcome.status == "skipped"]
    return "\n".join([*lines, *_report_totals(title, report)])


def report_line(title: str, report: Report) -> str:
    """The totals in one line: how many entries, how many bytes, and whether the disk is low."""
    return "; ".join(_report_totals(title, report))


def _report_totals(title: str, report: Report) -> list[str]:
    every = (*report.dropped, *report.outcomes)
    total = f"{plain(title)}: cleaned {counted(len(report.done))}"
    if report.background:
        total += ", being freed in the background (temp-status shows how far)"
    else:
        total += f", freed {spell_size(report.freed_bytes)}"
    disposal = report.plan.disposal
    if report.done and not report.plan.frees_space(disposal):
        how_long = spell_duration(report.plan.undo_for)
        total += DISPOSALS[disposal].reported.format(undo_for=how_long)
    dropped = [outcome.step for outcome in report.dropped if outcome.status == "done"]
    if dropped:
        total += f"; deleted {_counted_archives(dropped)}"
    if report.finished:
        total += f"; finished {report.finished} left by a clean that was killed"
    counts: Counter[str] = Counter(outcome.status for outcome in every)
    for status in ("skipped", "failed"):
        if counts[status]:
            total += f"; {counts[status]} {status}"
    lacking = shortfall_lines(title, report.shortfall, "free")
    return [total + _kept_summary(report.plan), *lacking]


def _kept_lines(plan: Plan) -> list[str]:
    return [
        f"kept {plain(verdict.entry.path)}: {plain(str(verdict.reason))}"
        for verdict in plan.kept
        if verdict.reason.rule in _NAMED_RULES
    ]


def _kept_summary(plan: Plan) -> str:
    outside = f"; {plan.out_of_scope} not selected" if plan.out_of_scope else ""
    return counted_rules(plan.kept) + outside


def counted_rules(kept: Sequence[Verdict]) -> str:
    """How many entries were kept, by rule: `; kept 2 entries: 1 in use, 1 pinned`, or ""."""
    counts = Counter(verdict.reason.rule for verdict in kept)
    said = [f"{count} {rule}" for rule, count in sorted(counts.items())]
    return f"; kept {counted(len(kept))}: {', '.join(said)}" if said else ""
