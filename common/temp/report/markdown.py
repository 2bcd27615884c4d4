"""Text and tables for GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .table import Cell, Column
from .text import plain

_MARKUP = str.maketrans({letter: f"\\{letter}" for letter in "\\|`*[<~&$"})
"""The characters that Markdown reads as the end of a cell, a link, code, HTML or a formula."""


def markdown(text: str) -> str:
    """`text`, safe to print, and escaped so that Markdown shows it as it is."""
    return plain(text).translate(_MARKUP)


def github_table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> str:
    """The rows as a table in GitHub's Markdown."""
    from tabulate import tabulate

    cells = [[cell.text.translate(_MARKUP) for cell in row] for row in rows]
    titles = [column.title for column in columns]
    return tabulate(cells, titles, tablefmt="github", disable_numparse=True)
