"""Columns of text: aligned by their width on a terminal, and cut to fit it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from ..core.named_tuple import NamedTuple

Colour = Literal["", "bold", "red", "green", "yellow", "cyan", "dim"]

_CODES: Final[dict[Colour, str]] = {
    "bold": "1",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "dim": "2",
}
_BAR: Final = " ▏▎▍▌▋▊▉█"
_GAP: Final = "  "
_READABLE: Final = 28
"""The width that a flexible column keeps while there is an optional one to leave out."""

_LEAST: Final = 16
"""The width that a flexible column keeps while there is room for all columns."""

_STAMP: Final = len("_1696348800")


class Screen(NamedTuple):
    """A terminal: how many columns it has, and whether it shows colours."""

    width: int
    colour: bool = False

    def paint(self, text: str, colour: Colour) -> str:
        """`text` in that colour, if the terminal shows colours."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if colour and self.colour else text


class Column(NamedTuple):
    """A column.

    Without room, `optional` columns are left out, the last of them first. Text that is too long for
    a `flexible` column loses its middle, so that the end of a name can be read.
    """

    title: str
    right: bool = False
    optional: bool = False
    flexible: bool = False


class Cell(NamedTuple):
    """A printable text, and its colour on a terminal."""

    text: str
    colour: Colour = ""


def width(text: str) -> int:
    """How many columns of a terminal a printable `text` takes."""
    if text.isascii():
        return len(text)
    return sum(map(_width_of, text))


def _width_of(letter: str) -> int:
    from unicodedata import category, east_asian_width  # only for text that is not ASCII

    if category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(letter) in "WF" else 1


def cut(text: str, most: int) -> str:
    """`text` in at most `most` columns: its beginning, and `…` where something is missing."""
    if width(text) <= most:
        return text
    return _beginning(text, most - 1) + "…" if most > 0 else ""


def cut_middle(text: str, most: int) -> str:
    """`text` in at most `most` columns: a little of its beginning, `…` and as much of its end."""
    if width(text) <= most:
        return text
    if most <= 1:
        return "…" if most == 1 else ""
    # An entry's name ends with its stamp: where that takes most of the room, its label comes first.
    head = _beginning(text, 1 if _STAMP < most < 20 else (most - 1) // 4)
    tail = _beginning(text[::-1], most - 1 - width(head))[::-1]
    return f"{head}…{tail}"


def _beginning(text: str, most: int) -> str:
    taken = 0
    for index, letter in enumerate(text):
        taken += width(letter)
        if taken > most:
            return text[:index]
    return text


def bar(part: float, most: int = 8) -> str:
    """A bar of `most` columns, filled by `part` (0 to 1); empty only for 0."""
    eighths = round(max(0.0, min(1.0, part)) * most * 8)
    if part > 0:
        eighths = max(1, eighths)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_BAR[rest] if rest else "")


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], screen: Screen | None = None
) -> str:
    """The rows under their titles.

    On a `screen` no line is wider than it; elsewhere nothing is left out, cut or coloured.
    """
    shown = list(range(len(columns)))
    widths = [
        max(width(column.title), *(width(row[index].text) for row in rows), 0)
        for index, column in enumerate(columns)
    ]
    if screen is not None:
        shown = _fit(columns, widths, screen.width)
    lines = [
        _line([Cell(columns[index].title) for index in shown], columns, widths, shown, screen),
        _GAP.join("-" * widths[index] for index in shown),
    ]
    lines += (
        _line([row[index] for index in shown], columns, widths, shown, screen) for row in rows
    )
    return "\n".join(lines)


def _fit(columns: Sequence[Column], widths: list[int], most: int) -> list[int]:
    """Which columns are shown on `most` columns of a terminal; `widths` is changed to fit."""
    shown = list(range(len(columns)))
    last = shown[-1]

    def missing() -> int:
        taken = sum(widths[index] + len(_GAP) for index in shown if index != last)
        return min(widths[last], most // 3) - (most - taken)

    def shrink(least: int) -> None:
        for index in shown:
            if columns[index].flexible and index != last:
                widths[index] -= max(0, min(widths[index] - least, missing()))

    shrink(_READABLE)
    for index in reversed(range(len(columns))):
        if missing() > 0 and columns[index].optional:
            shown.remove(index)
    shrink(_LEAST)
    taken = 0
    for index in tuple(shown):
        widths[index] = min(widths[index], most - taken)
        if widths[index] <= 0:
            shown.remove(index)
        taken += widths[index] + len(_GAP)
    return shown


def _line(
    cells: Sequence[Cell],
    columns: Sequence[Column],
    widths: Sequence[int],
    shown: Sequence[int],
    screen: Screen | None,
) -> str:
    spelled = []
    for cell, index in zip(cells, shown, strict=True):
        column, most = columns[index], widths[index]
        text = cut_middle(cell.text, most) if column.flexible else cut(cell.text, most)
        painted = screen.paint(text, cell.colour) if screen is not None else text
        gap = " " * (most - width(text))
        spelled.append(gap + painted if column.right else painted + gap)
    return _GAP.join(spelled).rstrip()
