"""The text output of `temp-status`: entries, what the next clean does with them, and totals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

from ..core.entry import Inventory
from ..core.reasons import Verdict
from ..core.units import spell_duration, spell_size
from .table import Cell, Colour, Column, Screen, bar, folded, table
from .text import age, counted, instant, plain
from .totals import category_totals, summary, undoable_lines

if TYPE_CHECKING:
    from ..core.disposal import Disposal

TableFormat = Literal["table", "github"]

_COLUMNS = (
    Column("category", whole=True),
    Column("name", whole=True),
    Column("size", right=True),
    Column("", optional=True),
    Column("files", right=True, optional=True),
    Column("age", right=True),
    Column("goes in", right=True, optional=True),
    Column("last change", optional=True),
    Column("next clean"),
)

_BAR = 3
"""The index of the column with the bar, which is only drawn on a terminal."""

_GOES_IN = 6
"""The index of the column that is left out if no age limit applies."""

_TOTALS = (
    Column("category", whole=True),
    Column("entries", right=True),
    Column("size", right=True),
    Column("would go", right=True),
)


def next_clean(verdict: Verdict, disposal: Disposal = "delete") -> str:
    """What the next clean does with an entry, and why: every reason to stay, or the first to go."""
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


def _goes_in(verdict: Verdict) -> str:
    if verdict.goes_in is None:
        return ""
    return spell_duration(verdict.goes_in) if verdict.keep else "now"


def _row(verdict: Verdict, now: float, largest: int, disposal: Disposal) -> list[Cell]:
    entry = verdict.entry
    return [
        Cell(plain(entry.category)),
        Cell(plain(entry.name)),
        Cell(spell_size(entry.size)),
        Cell(bar(entry.size / largest if largest else 0.0)),
        Cell(str(entry.files)),
        Cell(age(entry, now)),
        Cell(_goes_in(verdict)),
        Cell(instant(entry.last)),
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

    `disposal` is how the next clean removes entries. Without a `screen`, the text is plain, and as
    wide as needed.
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
    notes = [*undoable_lines(inventory, now), *_leftover_lines(inventory)]
    lines += notes if screen is None else [folded(line, screen.width) for line in notes]
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
    """The columns and the rows of the entries `shown`. A column that would be empty is left out,
    and so is the bar unless `with_bar`.
    """
    largest = max(verdict.entry.size for verdict in verdicts)
    rows = [_row(verdict, now, largest, disposal) for verdict in shown]
    is_left_out = {_BAR: not with_bar, _GOES_IN: all(one.goes_in is None for one in shown)}
    columns = [index for index in range(len(_COLUMNS)) if not is_left_out.get(index)]
    return (
        tuple(_COLUMNS[index] for index in columns),
        [[row[index] for index in columns] for row in rows],
    )


def _leftover_lines(inventory: Inventory) -> list[str]:
    running = waiting = 0
    for leftover in inventory.leftovers:
        running += leftover.entries if leftover.being_freed else 0
        waiting += 0 if leftover.being_freed else leftover.entries
    lines = []
    if running:
        lines.append(f"{counted(running)} being freed by a clean that is running now")
    if waiting:
        lines.append(
            f"{counted(waiting)} left by a clean that was killed; the next clean finishes them"
        )
    return lines
