"""What people read of a root: its entries, what the next clean does with them, and totals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

from ..core.entry import Inventory
from ..core.reasons import Verdict
from ..core.units import spell_size
from .table import Cell, Colour, Column, Screen, bar, table
from .text import age, counted, instant, plain

if TYPE_CHECKING:
    from ..core.disposal import Disposal

TableFormat = Literal["table", "github"]

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
"""The index of the bar, which is drawn on a terminal only."""

_TOTALS = (
    Column("category", flexible=True),
    Column("entries", right=True),
    Column("size", right=True),
    Column("would go", right=True),
)


def next_clean(verdict: Verdict, disposal: Disposal = "delete") -> str:
    """What the next clean does with an entry, and why: each reason to stay, or the first to go."""
    if verdict.keep:
        keeping = [str(reason) for reason in verdict.reasons if reason.effect == "stays"]
        return f"keep: {'; '.join(keeping)}"
    unread = verdict.entry.unreadable
    return f"{disposal}: {verdict.reason}" + (f"; unreadable: {unread}" if unread else "")


def _colour(verdict: Verdict) -> Colour:
    if not verdict.keep:
        return "red"
    if verdict.entry.pin is not None:
        return "cyan"
    return "yellow" if verdict.entry.use is not None else ""


def _row(verdict: Verdict, now: float, largest: int, disposal: Disposal) -> list[Cell]:
    entry = verdict.entry
    return [
        Cell(plain(entry.category)),
        Cell(plain(entry.name)),
        Cell(spell_size(entry.size)),
        Cell(bar(entry.size / largest if largest else 0.0)),
        Cell(str(entry.files)),
        Cell(age(entry, now)),
        Cell(instant(entry.changed)),
        Cell(plain(next_clean(verdict, disposal)), _colour(verdict)),
    ]


def status_text(
    title: str,
    inventory: Inventory,
    verdicts: Sequence[Verdict],
    shown: Sequence[Verdict],
    now: float,
    style: TableFormat,
    screen: Screen | None = None,
    disposal: Disposal = "delete",
) -> str:
    """The status of one root: a summary, the entries `shown`, and a total for each category.

    What goes is disposed of as `disposal` says. Without a `screen` it is plain text, of any width.
    """
    heading = plain(title)
    draw: Callable[[Sequence[Column], Sequence[Sequence[Cell]]], str]
    draw = partial(table, screen=screen)
    if style == "github":
        from .markdown import github_table, markdown

        heading, draw = f"### {markdown(title)}\n", github_table
    lines = [screen.paint(heading, "bold") if screen is not None else heading, summary(verdicts)]
    if verdicts:
        columns, rows = _listed(verdicts, shown, now, disposal, with_bar=screen is not None)
        lines += ["", draw(columns, rows)]
        if len(shown) < len(verdicts):
            lines += ["", f"{len(shown)} of {counted(len(verdicts))} shown"]
        totals = category_totals(verdicts)
        if len(totals) > 1:
            by_category = [
                [Cell(plain(category)), Cell(str(count)), *(Cell(spell_size(n)) for n in sizes)]
                for category, (count, *sizes) in totals.items()
            ]
            lines += ["", draw(_TOTALS, by_category)]
    lines.append("")
    lines += undoable_lines(inventory, now)
    lines += _leftover_lines(inventory)
    if inventory.free is not None:
        lines.append(f"{spell_size(inventory.free)} free on its filesystem")
    return "\n".join(lines)


def _listed(
    verdicts: Sequence[Verdict],
    shown: Sequence[Verdict],
    now: float,
    disposal: Disposal,
    *,
    with_bar: bool,
) -> tuple[tuple[Column, ...], list[list[Cell]]]:
    """The columns and the rows of the entries `shown`; the bar is drawn on a screen only."""
    largest = max(verdict.entry.size for verdict in verdicts)
    rows = [_row(verdict, now, largest, disposal) for verdict in shown]
    if with_bar:
        return _COLUMNS, rows
    without = [[*row[:_BAR], *row[_BAR + 1 :]] for row in rows]
    return (*_COLUMNS[:_BAR], *_COLUMNS[_BAR + 1 :]), without


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
    """A line on what can be undone and still takes space, if there is anything."""
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
    """How many of the entries set aside the next clean deletes, and their bytes."""
    goes = [one.size - one.shared for one in inventory.undoable if one.goes]
    return len(goes), sum(goes)
