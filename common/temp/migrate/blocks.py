"""Edits that remove statements from a block and indent the rest."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from .findings import Edit
from .source import Source


def without(
    source: Source, statements: Sequence[ast.stmt], *, at_head: bool = False
) -> list[Edit] | None:
    """The edits that delete the lines of `statements`; `None` if a comment would be lost or
    something else shares their lines.

    At the start of a block, the blank lines after them go as well.
    """
    edits = []
    for index, statement in enumerate(statements):
        start, end = source.span(statement)
        if not source.is_alone(statement):
            return None
        first, last = source.line_of(start), source.line_of(end)
        stop = source.line_span(last)[1]
        top = source.line_span(first)[0]
        if source.comments_in(top, stop) or b"\f" in source.data[top:start]:
            return None
        if at_head and index == len(statements) - 1:
            while last < len(source.starts) and is_blank(source, last + 1):
                last += 1
                if last == len(source.starts):
                    break
                stop = source.line_span(last)[1]
        edits.append(Edit(source.line_span(first)[0], stop, b""))
    return edits


def is_blank(source: Source, line: int) -> bool:
    """Whether a line has only spaces and tabs, and is not the empty one at the end of the file."""
    start, end = source.line_span(line)
    return start < end and not source.data[start:end].strip(b" \t\r\n")


def indented(source: Source, first: int, last: int, unit: bytes) -> list[Edit]:
    """The edits that indent lines `first` to `last` by `unit`, except lines that begin inside a
    string.
    """
    return [
        Edit(source.line_span(line)[0], source.line_span(line)[0], unit)
        for line in range(first, last + 1)
        if line not in source.inside_strings and not is_blank(source, line)
    ]


def unit_of(source: Source, inner: ast.stmt, outer: ast.stmt) -> bytes | None:
    """The indentation of `inner` beyond `outer`; `None` if that is not clear."""
    deep, flat = source.indent(inner.lineno), source.indent(outer.lineno)
    return deep[len(flat) :] if deep.startswith(flat) and len(deep) > len(flat) else None


def last_line(source: Source, statement: ast.stmt) -> int:
    """The number of the last line of `statement`."""
    return source.line_of(source.span(statement)[1])
