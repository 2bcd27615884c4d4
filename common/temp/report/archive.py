"""The text output of `temp-restore --list`: the archive, and what can be undone."""

from __future__ import annotations

from collections.abc import Sequence

from .table import Cell, Column, Screen, table
from .text import plain

_ARCHIVED = (
    Column("name", whole=True),
    Column("format"),
    Column("size", right=True),
    Column("archived", optional=True),
    Column("was", optional=True),
    Column("why"),
)

_UNDOABLE = (
    Column("name", whole=True),
    Column("until"),
    Column("size", right=True),
    Column("set aside", optional=True),
    Column("was", optional=True),
    Column("why"),
)


def archive_text(title: str, rows: Sequence[Sequence[str]], screen: Screen | None = None) -> str:
    """A table of an archive: for each entry its name, format, size, when, from where and why.

    A narrow `screen` leaves out when and where.
    """
    if not rows:
        return f"{plain(title)}: nothing archived"
    cells = [[Cell(plain(cell)) for cell in row] for row in rows]
    return f"{plain(title)}\n\n{table(_ARCHIVED, cells, screen)}"


def undo_text(title: str, rows: Sequence[Sequence[str]], screen: Screen | None = None) -> str:
    """A table of what can be undone: for each entry its name, until when, size, when, from where
    and why.

    A narrow `screen` leaves out when and where.
    """
    cells = [[Cell(plain(cell)) for cell in row] for row in rows]
    return f"{plain(title)}: can be undone\n\n{table(_UNDOABLE, cells, screen)}"
