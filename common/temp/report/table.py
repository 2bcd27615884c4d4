"""Columns of text: aligned by their width on a terminal, and wrapped to fit it."""

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
_INDENT: Final = "    "
_WANTED: Final = 40
"""Optional columns are left out before a whole column gets narrower than this."""

_LEAST: Final = 16
"""The least width of a whole column while all columns fit."""

_TITLE: Final = 5
"""The least width of a whole column if the columns do not fit: the width of its title."""

_WORDS: Final = 8
"""The width below which the last column is left out, if its text is longer."""


class Screen(NamedTuple):
    """A terminal: its width in columns, and whether it shows colours."""

    width: int
    colour: bool = False

    def paint(self, text: str, colour: Colour) -> str:
        """`text` in that colour, if the terminal shows colours."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if colour and self.colour else text


class Column(NamedTuple):
    """A column of a table.

    If the columns do not fit, `optional` ones are left out, the last of them first. Text in a
    `whole` column is never cut, so that a name can be copied: if it is too long, it gets a line of
    its own, and the rest of the row follows below. The last column is wrapped at words.
    """

    title: str
    right: bool = False
    optional: bool = False
    whole: bool = False


class Cell(NamedTuple):
    """A printable text, and its colour on a terminal."""

    text: str
    colour: Colour = ""


def width(text: str) -> int:
    """The number of terminal columns that a printable `text` takes."""
    if text.isascii():
        return len(text)
    return sum(map(_width_of, text))


def _width_of(letter: str) -> int:
    from unicodedata import category, east_asian_width  # only needed for text that is not ASCII

    if category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(letter) in "WF" else 1


def cut(text: str, most: int) -> str:
    """`text` cut to at most `most` columns, with `…` at the end if something is missing."""
    if width(text) <= most:
        return text
    return _beginning(text, most - 1) + "…" if most > 0 else ""


def wrapped(text: str, most: int) -> list[str]:
    """Lines of `text` of at most `most` columns, broken at spaces; a longer word stays whole."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and width(lines[-1]) + 1 + width(word) <= most:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def folded(text: str, most: int) -> str:
    """`text` with lines wrapped at spaces to `most` columns; continuation lines are indented."""
    lines = []
    for line in text.split("\n"):
        if width(line) > most:
            words = line.lstrip()
            lead = line.removesuffix(words)
            parts = wrapped(words, most - len(lead) - len(_INDENT))
            line = lead + f"\n{lead}{_INDENT}".join(part.strip() for part in parts)
        lines.append(line)
    return "\n".join(lines)


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

    On a `screen`, no line is wider than the screen, unless a whole text or a single word is.
    Elsewhere nothing is left out, wrapped or coloured.
    """
    shown = list(range(len(columns)))
    widths = [
        max(width(column.title), *(width(row[index].text) for row in rows), 0)
        for index, column in enumerate(columns)
    ]
    if screen is not None:
        shown = _fit(columns, rows, widths, screen.width)
    lines = [
        *_lines([Cell(columns[index].title) for index in shown], columns, widths, shown, screen),
        _GAP.join("-" * widths[index] for index in shown),
    ]
    for row in rows:
        lines += _lines([row[index] for index in shown], columns, widths, shown, screen)
    return "\n".join(lines)


def _fit(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], widths: list[int], most: int
) -> list[int]:
    """The table columns that are shown on `most` terminal columns. Changes `widths` to fit."""
    shown = list(range(len(columns)))
    last = shown[-1]
    natural = tuple(widths)
    whole = [index for index in shown if columns[index].whole and index != last]

    def missing(share: int = 4) -> int:
        taken = sum(widths[index] + len(_GAP) for index in shown if index != last)
        return min(widths[last], most // share) - (most - taken)

    def shrink(least: int, share: int = 4) -> None:
        for index in whole:
            widths[index] -= max(0, min(widths[index] - least, missing(share)))

    shrink(_WANTED)
    for index in reversed(range(len(columns))):
        if missing() > 0 and columns[index].optional:
            shown.remove(index)
    # Wrap the last column to as little as a seventh of the width before a name gets its own line.
    shrink(_LEAST, 7)
    # Narrow them further only if the other columns do not fit even without the last one.
    shrink(_TITLE, most + 1)
    for index in whole:
        widths[index] = min(natural[index], widths[index] + max(0, -missing()))
        # A text on a line of its own needs no width in the column.
        fitting = (width(row[index].text) for row in rows)
        inside = (one for one in fitting if one <= widths[index])
        widths[index] = max(width(columns[index].title), *inside, 0)
    taken = 0
    for index in tuple(shown):
        widths[index] = min(widths[index], max(most - taken, int(columns[index].whole)))
        least = min(_WORDS, natural[index]) if index == last else 1
        if widths[index] < least and index:
            shown.remove(index)
        taken += widths[index] + len(_GAP)
    return shown


def _lines(
    cells: Sequence[Cell],
    columns: Sequence[Column],
    widths: Sequence[int],
    shown: Sequence[int],
    screen: Screen | None,
) -> list[str]:
    """The lines of one row: several if a whole text is too long, or the last column wraps."""
    lines: list[str] = []
    line = ""
    start = 0  # where the column begins
    for cell, index in zip(cells, shown, strict=True):
        column, most = columns[index], widths[index]
        parts = [cell.text]
        if not column.whole and width(cell.text) > most:
            is_last = index == len(columns) - 1
            parts = wrapped(cell.text, most) if is_last else [cut(cell.text, most)]
        for number, text in enumerate(parts):
            if number:
                lines.append(line)
                line = " " * start
            gap = " " * (most - width(text))
            painted = screen.paint(text, cell.colour) if screen is not None else text
            line += gap + painted if column.right else painted + gap
        start += most + len(_GAP)
        if column.whole and width(cell.text) > most and index != shown[-1]:
            lines.append(line)
            line = " " * start
        else:
            line += _GAP
    return [text.rstrip() for text in (*lines, line)]
