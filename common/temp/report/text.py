"""What people read: tables, lines and questions. Every text from a disk is neutralised here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from ..core.disposal import DISPOSALS, Disposal
from ..core.entry import Entry, Inventory, Problem
from ..core.layout import UNCATEGORIZED
from ..core.plan import Outcome, Plan, Report, Shortfall, Step
from ..core.retention import Reason, Verdict, what_would_change
from ..core.units import spell_duration, spell_size
from .table import Cell, Colour, Column, Screen, bar, table

if TYPE_CHECKING:
    from ..core.adoption import Moved, Survey

TableFormat = Literal["table", "github"]

_NAMED_RULES = frozenset({"in use", "pinned", "unsaved work", "mounted", "unreadable", "tracked"})
"""Reasons to keep that are worth a line each; the others are only counted."""

_COLUMNS = (
    Column("category", flexible=True),
    Column("name", flexible=True),
    Column("size", right=True),
    Column("", optional=True),
    Column("files", right=True, optional=True),
    Column("age", right=True),
    Column("last change", optional=True),
    Column("next clean"),
)
_BAR = 3
"""Which of them is the bar, for those who look at it."""

_ARCHIVED = (
    Column("name"),
    Column("format"),
    Column("size", right=True),
    Column("archived"),
    Column("was"),
    Column("why"),
)
_UNDOABLE = (
    Column("name"),
    Column("until"),
    Column("size", right=True),
    Column("set aside"),
    Column("was"),
    Column("why"),
)
_TOTALS = (
    Column("category", flexible=True),
    Column("entries", right=True),
    Column("size", right=True),
    Column("would go", right=True),
)


_MARKUP = str.maketrans({letter: f"\\{letter}" for letter in "\\|`*[<~&$"})
"""What Markdown would take for a cell's end, a link, code, HTML or a formula, and not show."""

_FORMULA = frozenset("=+-@＝＋－＠")
"""What a spreadsheet takes for the start of a formula."""


def plain(text: str) -> str:
    """`text` with every character that a terminal might act on spelled out as an escape, and what
    would be a command in the log of a GitHub workflow.
    """
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)
    if text.lstrip().startswith("::"):
        text = text.replace("::", "\\x3a:", 1)
    return text.replace("##[", "\\x23#[")


def markdown(text: str) -> str:
    """`plain` text that Markdown shows as it is."""
    return plain(text).translate(_MARKUP)


def _escaped(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as os.fsdecode keeps it
        return f"\\x{code - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()


def instant(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, to the second."""
    try:
        told = time.gmtime(int(seconds))
    except (OverflowError, ValueError, OSError):
        return str(int(seconds))
    if not 1 <= told.tm_year <= 9999:  # what ISO 8601 has digits for
        return str(int(seconds))
    return f"{told.tm_year:04}-{time.strftime('%m-%dT%H:%M:%SZ', told)}"


def counted(number: int, noun: str = "entry", plural: str = "entries") -> str:
    """`1 entry`, `3 entries`."""
    return f"{number} {noun if number == 1 else plural}"


def age_seconds(entry: Entry, now: float) -> int:
    """Whole seconds since the newest change; what lies in the future counts as new."""
    return 0 if entry.future else max(0, int(now - entry.changed))


def _age(entry: Entry, now: float) -> str:
    return "new" if entry.future else spell_duration(max(0.0, now - entry.changed))


def _ago(entry: Entry, now: float) -> str:
    return "counts as new" if entry.future else f"{_age(entry, now)} ago"


def next_clean(verdict: Verdict) -> str:
    """What becomes of an entry and why: all that keeps it, or the first that has it go."""
    if verdict.keep:
        keeping = [str(reason) for reason in verdict.reasons if reason.effect == "stays"]
        return f"stays: {'; '.join(keeping)}"
    unread = verdict.entry.unreadable
    return f"goes: {verdict.reason}" + (f"; unreadable: {unread}" if unread else "")


def _colour(verdict: Verdict) -> Colour:
    if not verdict.keep:
        return "red"
    if verdict.entry.pin is not None:
        return "cyan"
    return "yellow" if verdict.entry.use is not None else ""


def _row(verdict: Verdict, now: float, largest: int) -> list[Cell]:
    entry = verdict.entry
    return [
        Cell(plain(entry.category)),
        Cell(plain(entry.name)),
        Cell(spell_size(entry.size)),
        Cell(bar(entry.size / largest if largest else 0.0)),
        Cell(str(entry.files)),
        Cell(_age(entry, now)),
        Cell(instant(entry.changed)),
        Cell(plain(next_clean(verdict)), _colour(verdict)),
    ]


def github_table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> str:
    """The rows as a table of GitHub's Markdown."""
    from tabulate import tabulate

    cells = [[cell.text.translate(_MARKUP) for cell in row] for row in rows]
    titles = [column.title for column in columns]
    return tabulate(cells, titles, tablefmt="github", disable_numparse=True)


def status_text(
    title: str,
    inventory: Inventory,
    verdicts: Sequence[Verdict],
    shown: Sequence[Verdict],
    now: float,
    style: TableFormat,
    screen: Screen | None = None,
) -> str:
    """The status of one root: what it is in all, the entries `shown`, a total for each category.

    Without a `screen` it is plain text, of any width.
    """
    github = style == "github"
    heading = f"### {markdown(title)}" if github else plain(title)
    lines = [screen.paint(heading, "bold") if screen is not None else heading]
    if github:
        lines.append("")
    lines.append(summary(verdicts))
    if verdicts:
        largest = max(verdict.entry.size for verdict in verdicts)
        rows = [_row(verdict, now, largest) for verdict in shown]
        columns: tuple[Column, ...] = _COLUMNS
        if screen is None:
            columns = (*_COLUMNS[:_BAR], *_COLUMNS[_BAR + 1 :])
            rows = [[*row[:_BAR], *row[_BAR + 1 :]] for row in rows]
        lines += ["", github_table(columns, rows) if github else table(columns, rows, screen)]
        if len(shown) < len(verdicts):
            lines += ["", f"{len(shown)} of {counted(len(verdicts))} shown"]
        totals = category_totals(verdicts)
        if len(totals) > 1:
            by_category = [
                [Cell(plain(category)), Cell(str(count)), *(Cell(spell_size(n)) for n in sizes)]
                for category, (count, *sizes) in totals.items()
            ]
            lines.append("")
            if github:
                lines.append(github_table(_TOTALS, by_category))
            else:
                lines.append(table(_TOTALS, by_category, screen))
    lines.append("")
    lines += undoable_lines(inventory, now)
    lines += _leftover_lines(inventory)
    if inventory.free is not None:
        lines.append(f"{spell_size(inventory.free)} free on its filesystem")
    return "\n".join(lines)


def summary(verdicts: Sequence[Verdict]) -> str:
    """`18 entries, 3.4 GiB on disk, 2.9 GiB reclaimable (85 %)`."""
    if not verdicts:
        return "no entries"
    totals = category_totals(verdicts).values()
    size, goes = (sum(sizes) for sizes in list(zip(*totals, strict=True))[1:])
    share = f" ({100 * goes / size:.0f} %)" if goes else ""
    return (
        f"{counted(len(verdicts))}, {spell_size(size)} on disk, "
        f"{spell_size(goes)} reclaimable{share}"
    )


def category_totals(verdicts: Iterable[Verdict]) -> dict[str, tuple[int, int, int]]:
    """For each category: entries, bytes on disk, and bytes that would be freed."""
    totals: dict[str, tuple[int, int, int]] = {}
    for verdict in verdicts:
        entry = verdict.entry
        count, size, goes = totals.get(entry.category, (0, 0, 0))
        freed = 0 if verdict.keep else entry.size - entry.shared
        totals[entry.category] = (count + 1, size + entry.size, goes + freed)
    return dict(sorted(totals.items()))


def _leftover_lines(inventory: Inventory) -> list[str]:
    running = waiting = 0
    for leftover in inventory.leftovers:
        running += leftover.entries if leftover.being_freed else 0
        waiting += 0 if leftover.being_freed else leftover.entries
    lines = []
    if running:
        lines.append(f"{counted(running)} being freed by a clean that is running now")
    if waiting:
        lines.append(f"{counted(waiting)} left by a clean that was killed; the next one finishes")
    return lines


def undoable_lines(inventory: Inventory, now: float) -> list[str]:
    """What one line says of what can be undone, which still takes space; else none."""
    held = inventory.undoable
    if not held:
        return []
    size = spell_size(sum(one.size for one in held))
    line = f"{counted(len(held))} set aside, still {size} on disk"
    times = sorted(one.until for one in held if one.until is not None)
    if times:
        first, last = instant(times[0]), instant(times[-1])
        line += f", until {first}" if first == last else f", until {first} to {last}"
    line += " (temp-restore undoes it)"
    over, freed = undoable_goes(inventory)
    if over:
        line += f"; the next clean deletes {over} of them for good and frees {spell_size(freed)}"
    return [line]


def undoable_goes(inventory: Inventory) -> tuple[int, int]:
    """How many of those that were set aside the next clean deletes, and their bytes."""
    goes = [one.size - one.shared for one in inventory.undoable if one.goes]
    return len(goes), sum(goes)


def status_csv(projects: Iterable[tuple[str, Sequence[Verdict]]], now: float) -> str:
    """The entries of all projects as CSV with a header; sizes in bytes, times in ISO 8601.

    A text that a spreadsheet would run as a formula has a `'` before it, which keeps it a text.
    """
    import csv
    import io

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


# -- cleaning -----------------------------------------------------------------------------------


def plan_text(title: str, plan: Plan) -> str:
    """What a clean would do to one root."""
    lines = [
        f"would {DISPOSALS[step.disposal].verb} {plain(step.entry.path)}  "
        f"{spell_size(step.entry.size)}  ({plain(str(step.reason))})"
        for step in (*plan.archives, *plan.steps)
    ]
    return "\n".join([*lines, *_kept_lines(plan), *_plan_totals(title, plan)])


def plan_line(title: str, plan: Plan) -> str:
    """The same in a line: how many entries, how many bytes, and what is lacking."""
    return "; ".join(_plan_totals(title, plan))


def _plan_totals(title: str, plan: Plan) -> list[str]:
    disposal = _disposal_of(plan)
    way = DISPOSALS[disposal]
    total = f"{plain(title)}: would {way.verb} {counted(len(plan.steps))}"
    if plan.frees_space(disposal):
        total += f" and free {spell_size(plan.planned_bytes)}"
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


def _disposal_of(plan: Plan) -> Disposal:
    """What becomes of the entries that go: the same of all of them."""
    return plan.steps[0].disposal if plan.steps else "delete"


def shortfall_lines(title: str, shortfall: Shortfall | None, verb: str) -> list[str]:
    """What one line says of a disk that is low after all, and of what holds it; else none."""
    if shortfall is None:
        return []
    held = ", ".join(f"{spell_size(size)} {rule}" for rule, size in shortfall.held)
    left = "the next clean takes more" if shortfall.more else "nothing more here could go"
    said = f"held by what stays: {held}" if held else left
    places = {rule for rule, _ in shortfall.held}
    for way in DISPOSALS.values():
        if way.low_space and way.held in places:
            said += f"; {way.low_space}"
    return [
        f"{plain(title)}: low space: {spell_size(shortfall.reached)} {verb}, "
        f"{spell_size(shortfall.wanted)} wanted; {said}"
    ]


def outcome_line(outcome: Outcome) -> str:
    """What became of one entry."""
    path = plain(outcome.step.entry.path)
    if outcome.status == "done":
        size = f"  {spell_size(outcome.freed_bytes)}" if outcome.freed_bytes else ""
        said = outcome_detail(outcome)
        detail = f"  {said}" if said else ""
        reason = plain(str(outcome.step.reason))
        return f"{DISPOSALS[outcome.step.disposal].done} {path}{size}{detail}  ({reason})"
    return f"{outcome.status} {path}: {plain(outcome.detail)}"


def outcome_detail(outcome: Outcome) -> str:
    """What more there is to say of it than its status; often nothing."""
    if outcome.until is None:
        return plain(outcome.detail)
    return f"can be undone until {instant(outcome.until)}, frees no space before"


def report_text(title: str, report: Report) -> str:
    """What a clean did to one root, after the lines of its entries."""
    lines = _kept_lines(report.plan)
    every = (*report.dropped, *report.outcomes)
    lines += [outcome_line(outcome) for outcome in every if outcome.status == "skipped"]
    return "\n".join([*lines, *_report_totals(title, report)])


def report_line(title: str, report: Report) -> str:
    """The same in a line: how many entries, how many bytes, and what is lacking."""
    return "; ".join(_report_totals(title, report))


def _report_totals(title: str, report: Report) -> list[str]:
    every = (*report.dropped, *report.outcomes)
    total = f"{plain(title)}: cleaned {counted(len(report.done))}"
    if report.background:
        total += ", being freed in the background (temp-status shows how far)"
    else:
        total += f", freed {spell_size(report.freed_bytes)}"
    disposal = _disposal_of(report.plan)
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
    shortfall = None if report.free is None else report.plan.shortfall(report.free)
    lacking = shortfall_lines(title, shortfall, "free")
    return [total + _kept_summary(report.plan), *lacking]


# -- adopting -----------------------------------------------------------------------------------


def moved_line(moved: Moved) -> str:
    """What became of one flat entry."""
    path = plain(moved.entry.path)
    if moved.status == "done":
        return f"moved {path} to {plain(moved.path)}"
    return f"{moved.status} {path}: {plain(moved.detail)}"


def adoption_text(title: str, survey: Survey, moved: Sequence[Moved] | None) -> str:
    """What an adoption did to one root, after the lines of its entries; or what it would do."""
    lines = [
        f"would move {plain(entry.path)} to {UNCATEGORIZED}/{plain(entry.name)}"
        for entry in survey.moves
        if moved is None
    ]
    lines += [
        f"kept {plain(verdict.entry.path)}: {plain(str(verdict.reason))}" for verdict in survey.kept
    ]
    if moved is None:
        total = f"{plain(title)}: would move {counted(len(survey.moves))}"
    else:
        counts = Counter(one.status for one in moved)
        total = f"{plain(title)}: moved {counted(counts['done'])}"
        for status in ("skipped", "failed"):
            if counts[status]:
                total += f"; {counts[status]} {status}"
    return "\n".join([*lines, total + _counted_rules(survey.kept)])


def old_root_text(title: str, inventory: Inventory, now: float) -> str:
    """What lies in a root of an older name, and what to do with it."""
    lines = [
        f"{plain(title)}/{plain(entry.path)}  {spell_size(entry.size)}, "
        f"last change {instant(entry.changed)} ({_ago(entry, now)})"
        for entry in inventory.entries
    ]
    size = sum(entry.size for entry in inventory.entries)
    if not lines:
        return f"{plain(title)}: no entries; `inv clean` removes it"
    remedy = "`inv clean` cleans it as it does .tmp; move what is to stay"
    total = f"{plain(title)}: {counted(len(lines))}, {spell_size(size)}; {remedy}"
    return "\n".join([*lines, total])


# -- both ---------------------------------------------------------------------------------------


def _kept_lines(plan: Plan) -> list[str]:
    return [
        f"kept {plain(verdict.entry.path)}: {plain(str(verdict.reason))}"
        for verdict in plan.kept
        if verdict.reason.rule in _NAMED_RULES
    ]


def _kept_summary(plan: Plan) -> str:
    outside = f"; {plan.out_of_scope} not selected" if plan.out_of_scope else ""
    return _counted_rules(plan.kept) + outside


def _counted_rules(kept: Sequence[Verdict]) -> str:
    counts = Counter(verdict.reason.rule for verdict in kept)
    said = [f"{count} {rule}" for rule, count in sorted(counts.items())]
    return f"; kept {counted(len(kept))}: {', '.join(said)}" if said else ""


def archive_text(title: str, rows: Sequence[Sequence[str]]) -> str:
    """What lies in an archive: name, format, size, when it was archived, where it was, and why."""
    if not rows:
        return f"{plain(title)}: nothing archived"
    cells = [[Cell(plain(cell)) for cell in row] for row in rows]
    return f"{plain(title)}\n\n{table(_ARCHIVED, cells)}"


def undo_text(title: str, rows: Sequence[Sequence[str]]) -> str:
    """What can be undone of one root: name, until when, size, since when, where it was, and why."""
    cells = [[Cell(plain(cell)) for cell in row] for row in rows]
    return f"{plain(title)}: can be undone\n\n{table(_UNDOABLE, cells)}"


def problem_line(title: str, problem: Problem) -> str:
    """One line for stderr."""
    return f"problem: {plain(title)}: {plain(problem.path)}: {plain(problem.what)}"


def located(root: object, leads_to: object | None) -> str:
    """A root by its path, and by where its data really is, if that is behind a link."""
    return f"{root} -> {leads_to}" if leads_to is not None else str(root)


def explanation(
    verdict: Verdict, reasons: Sequence[Reason], now: float, elsewhere: str = ""
) -> str:
    """Why an entry stays or goes, rule by rule, and what would change that.

    `elsewhere` says where its root is, if that is behind a link.
    """
    entry = verdict.entry
    where = f" in {plain(entry.changed_in)}" if entry.changed_in else ""
    made_by = f"made by {plain(entry.made_by)}" if entry.made_by else "made by nobody on record"
    marks = {"goes": "-", "stays": "+", "silent": " "}
    return "\n".join(
        [
            f"{plain(entry.path)}: {'stays' if verdict.keep else 'would go'}, "
            f"{plain(str(verdict.reason))}",
            f"  {spell_size(entry.size)} in {counted(entry.files, 'file', 'files')}, "
            f"last change {instant(entry.changed)} ({_ago(entry, now)}){where}",
            f"  {made_by}",
            *([f"  in {plain(elsewhere)}"] if elsewhere else []),
            "",
            "rule by rule (- asks for it to go, + keeps it):",
            *(f"  {marks[reason.effect]} {plain(str(reason))}" for reason in reasons),
            "",
            plain(what_would_change(verdict)),
        ]
    )
