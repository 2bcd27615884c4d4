"""Spans of bytes, and positions in the text before and after a set of edits."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from .findings import Edit, Finding
from .source import Source


class Spans:
    """Spans of bytes, each from a start to an end. Overlapping spans are merged."""

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self._spans = [*_merged(spans)]

    def add(self, spans: Iterable[tuple[int, int]]) -> None:
        """Add `spans`, none of which overlaps an existing one."""
        for span in _merged(spans):
            insort(self._spans, span)

    def meet(self, start: int, end: int) -> bool:
        """Whether one of them overlaps the span from `start` to `end`."""
        index = bisect_left(self._spans, (end, 0)) - 1
        return index >= 0 and self._spans[index][1] > start

    def hold(self, start: int, end: int) -> bool:
        """Whether one of them holds the span from `start` to `end`."""
        index = bisect_right(self._spans, start, key=lambda span: span[0]) - 1
        return index >= 0 and end <= self._spans[index][1]


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    begun: tuple[int, int] | None = None
    for start, end in sorted(spans):
        if begun is not None and start < begun[1]:
            begun = (begun[0], max(begun[1], end))
            continue
        if begun is not None:
            yield begun
        begun = (start, end)
    if begun is not None:
        yield begun


class Origin:
    """Maps findings in the text after several sets of edits to the text before them."""

    def __init__(self, source: Source, first: Source, made: Sequence[Sequence[Edit]]) -> None:
        self._source = source
        self._first = first
        self._made = [_Shifts(edits) for edits in reversed(made)]

    def of(self, finding: Finding) -> Finding:
        """`finding` with its lines, and the lines named in its message, in the first text."""
        if not self._made:
            return finding
        position = self._source.line_span(finding.line)[0] + finding.column - 1
        position = self._before(position)
        line = self._first.line_of(position)
        column = position - self._first.line_span(line)[0] + 1
        last = line + finding.last_line - finding.line
        message = _LINES.sub(self._renumbered, finding.message)
        return replace(finding, line=line, column=column, last_line=last, message=message)

    def _before(self, position: int) -> int:
        for shifts in self._made:
            position = shifts.origin(position)
        return position

    def _renumbered(self, said: re.Match[str]) -> str:
        if said.group().startswith("`"):
            return said.group()
        return re.sub(r"\d+", self._line, said.group())

    def _line(self, number: re.Match[str]) -> str:
        line = int(number.group())
        if not 0 < line <= len(self._source.starts):
            return number.group()
        start = self._source.line_span(line)[0] + len(self._source.indent(line))
        return str(self._first.line_of(self._before(start)))


_LINES: Final = re.compile(r"`[^`]*`|\blines? \d+(?:, \d+)*")
"""Matches line numbers in a message, and code, in which nothing is renumbered."""


class _Shifts:
    """Maps positions after a set of edits to those before it."""

    def __init__(self, edits: Iterable[Edit]) -> None:
        self._edits = sorted(edits, key=lambda edit: (edit.start, edit.end))
        self._starts = []
        self._shifts = []
        shift = 0
        for edit in self._edits:
            self._starts.append(edit.start + shift)
            shift += len(edit.text) - (edit.end - edit.start)
            self._shifts.append(shift)

    def origin(self, position: int) -> int:
        """The position in the text before the edits that corresponds to `position` after them."""
        index = bisect_right(self._starts, position) - 1
        if index < 0:
            return position
        edit = self._edits[index]
        if position < self._starts[index] + len(edit.text):
            return edit.start
        return position - self._shifts[index]
