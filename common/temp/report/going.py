"""The entries that go, as shown before a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..core.links import once
from ..core.plan import Step
from ..core.units import spell_size
from .table import Cell, Column, Screen, table
from .text import age, plain

_MOST: Final = 20
"""How many entries to show if the user does not choose among them."""

_NUMBER: Final = Column("", right=True)
_PROJECT: Final = Column("project")
_COLUMNS: Final = (
    Column("entry", whole=True),
    Column("size", right=True),
    Column("age", right=True),
    Column("why"),
)


def going_text(
    steps: Sequence[Step],
    places: Sequence[str],
    now: float,
    screen: Screen | None,
    *,
    numbered: bool = False,
) -> str:
    """A table of the largest `steps`, and the number of others. With `numbered`, all steps in their
    order, each with a number.

    `places` are the places of the steps, shown in a column if they differ.
    """
    several = len(set(places)) > 1
    shown = list(range(len(steps)))
    if not numbered:
        shown.sort(key=lambda index: (-steps[index].entry.size, index))
        del shown[_MOST:]
    columns = [*[_NUMBER] * numbered, *[_PROJECT] * several, *_COLUMNS]
    rows = [
        [
            *[Cell(str(index + 1))] * numbered,
            *[Cell(plain(places[index]))] * several,
            *_cells(steps[index], now),
        ]
        for index in shown
    ]
    text = table(columns, rows, screen)
    if len(shown) < len(steps):
        others = [step.entry for index, step in enumerate(steps) if index not in set(shown)]
        text += f"\nand {len(others)} more, {spell_size(sum(once(others)))}"
    return text


def _cells(step: Step, now: float) -> list[Cell]:
    entry = step.entry
    staying = "" if step.stays is None else f"; {spell_size(step.stays)} stay"
    return [
        Cell(plain(entry.path)),
        Cell("" if entry.partial else spell_size(entry.size)),
        Cell("" if entry.partial else age(entry, now)),
        Cell(plain(f"{step.reason}{staying}")),
    ]
