"""Applies the edits of findings, and adds and removes the imports that follow from them."""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from . import new_imports, unused_imports
from .findings import Edit, Finding, Import
from .scopes import Binding, Scopes
from .source import Source, Unreadable


class Unsound(Exception):
    """A rewrite that fails the final check, and why."""


def compatible(findings: Iterable[Finding]) -> list[Finding]:
    """Those of `findings`, in order, that do not edit the same bytes as an earlier one."""
    chosen: list[Finding] = []
    taken: list[tuple[int, int]] = []
    for finding in findings:
        spans = [(edit.start, max(edit.end, edit.start + 1)) for edit in finding.edits]
        if finding.moves:
            spans = [(min(start for start, _ in spans), max(end for _, end in spans))]
        if any(start < end2 and start2 < end for start, end in spans for start2, end2 in taken):
            continue
        taken += spans
        chosen.append(finding)
    return chosen


def rewrite(
    source: Source,
    scopes: Scopes,
    findings: Sequence[Finding],
    may_drop: Callable[[Binding], bool],
) -> tuple[bytes, list[Edit]]:
    """The text of `source` after the edits of `findings`, and all edits that were made.

    `may_drop` tells whether an import that is no longer used may go. Raises `NoRoom` if there is
    no place for an import, `Unsound` if the result would not compile or mean the same, and
    `Unreadable` if the file did not compile before. Nothing must be changed then.
    """
    edits = [edit for finding in findings for edit in finding.edits]
    dropped = unused_imports.unused(source, scopes, edits, may_drop)
    removals, gone = unused_imports.removals(source, dropped)
    wanted = list(dict.fromkeys(want for finding in findings for want in finding.imports))
    additions = list(new_imports.additions(source, scopes, wanted, gone))
    edits += additions
    edits += unused_imports.beside_additions(source, removals, additions)
    data = apply(source.data, edits)
    _check(source, data, wanted)
    return data, edits


def apply(data: bytes, edits: Iterable[Edit]) -> bytes:
    """`data` with `edits` carried out; they do not overlap."""
    pieces = []
    done = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        assert edit.start >= done, "edits overlap"
        pieces += [data[done : edit.start], edit.text]
        done = edit.end
    return b"".join([*pieces, data[done:]])


class Origin:
    """Where findings in the text after several sets of edits are in the text before them."""

    def __init__(self, source: Source, first: Source, made: Sequence[Sequence[Edit]]) -> None:
        self._source = source
        self._first = first
        self._made = [_Shifts(edits) for edits in reversed(made)]

    def of(self, finding: Finding) -> Finding:
        """`finding`, with its lines, and those that its message names, in the first text."""
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
"""Line numbers in a message; code in it is passed over."""


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
        """The position before the edits of `position` in the text after them."""
        index = bisect_right(self._starts, position) - 1
        if index < 0:
            return position
        edit = self._edits[index]
        if position < self._starts[index] + len(edit.text):
            return edit.start
        return position - self._shifts[index]


def _check(source: Source, data: bytes, wanted: Iterable[Import]) -> None:
    """Raises `Unsound` unless `data` compiles, and the new names refer to the right imports.

    Raises `Unreadable` if `source` itself does not compile.
    """
    text = data.decode()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source.text, "<before>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unreadable(f"does not compile: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<after>", "exec", dont_inherit=True)
            scopes = Scopes(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unsound(f"would not compile after the rewrite ({error})") from error
    for want in wanted:
        for node in scopes.nodes(ast.Name):
            if node.id == want.bound and isinstance(node.ctx, ast.Load):
                meaning = scopes.meaning(node)
                if meaning.dotted != f"{want.module}.{want.name}":
                    raise Unsound(f"the rewrite would use {want.bound} for something else")
