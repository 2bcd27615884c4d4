"""A Python file as bytes, text and syntax tree, with positions in the bytes."""

from __future__ import annotations

import ast
import codecs
import io
import re
import tokenize
import warnings
from bisect import bisect_left, bisect_right
from functools import cached_property
from typing import Final, NamedTuple, TypeAlias

_Imports: TypeAlias = ast.Import | ast.ImportFrom
_LINE_END: Final = re.compile(rb"\r\n|\n")
_OTHER_BOMS: Final = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


LARGEST_SOURCE: Final = 16 << 20
"""Files larger than this (bytes) are not handwritten source, and are skipped."""


class Unreadable(Exception):
    """A file cannot be read as Python, and is not changed; the message says why."""


class Comment(NamedTuple):
    """A comment from `start` to `end`. It is `alone` on its line or follows code."""

    start: int
    end: int
    line: int
    text: str
    alone: bool


class Source:
    """One parsed file. A position is an offset into `data`, the text in UTF-8 without a BOM.

    Raises `Unreadable`.
    """

    def __init__(self, raw: bytes) -> None:
        self.bom = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
        self.encoding, self.text = _decode(raw, self.bom)
        self.data = self.text.encode()
        if re.search(rb"\r(?!\n)", self.data):
            raise Unreadable("has a lone carriage return, so line numbers are not certain")
        self.tree = _parse(self.text)
        self.starts = [0, *(end.end() for end in _LINE_END.finditer(self.data))]
        found = _LINE_END.search(self.data)
        self.newline = found.group().decode() if found else "\n"

    def at(self, line: int, column: int) -> int:
        """The position of a line (from 1) and column (in bytes, from 0), as `ast` counts them."""
        return self.starts[line - 1] + column

    def span(self, node: ast.AST) -> tuple[int, int]:
        """The start and end of `node`."""
        assert isinstance(node, (ast.stmt, ast.expr, ast.excepthandler, ast.arg, ast.alias))
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self.at(node.lineno, node.col_offset)
        return start, self.at(node.end_lineno, node.end_col_offset)

    def written(self, node: ast.AST) -> str:
        """The source text of `node`."""
        start, end = self.span(node)
        return self.data[start:end].decode()

    def line_of(self, position: int) -> int:
        """The number of the line (from 1) that contains `position`."""
        return bisect_right(self.starts, position)

    def line_span(self, line: int) -> tuple[int, int]:
        """The start of a line, and the start of the next one."""
        end = self.starts[line] if line < len(self.starts) else len(self.data)
        return self.starts[line - 1], end

    def line(self, number: int) -> bytes:
        """The text of a line, with its line break."""
        start, end = self.line_span(number)
        return self.data[start:end]

    def indent(self, line: int) -> bytes:
        """The white space at the start of a line."""
        text = self.line(line)
        return text[: len(text) - len(text.lstrip(b" \t\f"))]

    def is_alone(self, node: ast.stmt) -> bool:
        """Whether no other statement shares a line with `node`."""
        start, end = self.span(node)
        before = self.data[self.line_span(node.lineno)[0] : start]
        after = self.data[end : self.line_span(self.line_of(end))[1]].strip()
        return not before.strip() and (not after or after.startswith(b"#"))

    def statement_at(self, position: int) -> ast.stmt:
        """The statement that begins at a position."""
        return self._statements[position]

    @cached_property
    def _statements(self) -> dict[int, ast.stmt]:
        nodes = (node for node in ast.walk(self.tree) if isinstance(node, ast.stmt))
        return {self.span(node)[0]: node for node in nodes}

    @cached_property
    def imports(self) -> tuple[dict[int, _Imports], dict[int, _Imports]]:
        """The imports by their first line, and by their last."""
        nodes = [
            n for n in self._statements.values() if isinstance(n, (ast.Import, ast.ImportFrom))
        ]
        return {n.lineno: n for n in nodes}, {n.end_lineno or 0: n for n in nodes}

    @cached_property
    def comments(self) -> tuple[Comment, ...]:
        """All comments, in order."""
        return tuple(self._find_comments())

    def comments_in(self, start: int, end: int) -> list[Comment]:
        """The comments that begin within the span."""
        first = bisect_left(self._comment_starts, start)
        return [*self.comments[first : bisect_left(self._comment_starts, end)]]

    @cached_property
    def _comment_starts(self) -> list[int]:
        return [comment.start for comment in self.comments]

    def _find_comments(self) -> list[Comment]:
        if b"#" not in self.data:
            return []
        found = []
        lines = io.StringIO(self.text, newline="")
        try:
            for token in tokenize.generate_tokens(lines.readline):
                if token.type == tokenize.COMMENT:
                    line, column = token.start
                    before = token.line[:column] if token.start[0] == token.end[0] else ""
                    start = self.starts[line - 1] + len(before.encode())
                    text = token.string.rstrip("\r\n")
                    alone = not before.strip()
                    found.append(Comment(start, start + len(text.encode()), line, text, alone))
        except (tokenize.TokenError, SyntaxError) as error:
            raise Unreadable(f"cannot be split into tokens: {error}") from error
        return found

    @cached_property
    def inside_strings(self) -> frozenset[int]:
        """The lines (from 1) that begin inside a multi-line string."""
        lines = set()
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.Constant, ast.JoinedStr)) and (
                isinstance(node, ast.JoinedStr) or isinstance(node.value, (str, bytes))
            ):
                lines |= set(range(node.lineno + 1, (node.end_lineno or node.lineno) + 1))
        return frozenset(lines)

    @cached_property
    def quote(self) -> str:
        """The quote character that the file uses most."""
        return "'" if self.data.count(b"'") > self.data.count(b'"') else '"'

    def quoted(self, text: str) -> str:
        """`text` as a string literal with the quotes that this file uses."""
        literal = repr(text)
        if self.quote not in text and "\\" not in literal:
            return self.quote + text + self.quote
        return literal

    def encode(self, data: bytes) -> bytes:
        """The bytes of the file with `data` as its text. Raises `Unreadable`."""
        try:
            return self.bom + data.decode().encode(self.encoding)
        except UnicodeEncodeError as error:
            raise Unreadable(f"cannot be written in {self.encoding}: {error.reason}") from error


_DIRECTIVES: Final = (
    *("noqa", "type:", "pragma", "pylint", "fmt:", "nosec", "mypy:", "ruff:", "isort:"),
    *("pyright:", "tempkeep:"),
)


def is_directive(comment: str) -> bool:
    """Whether a comment is for a tool and about its line, so that it cannot be moved or removed."""
    return comment.lstrip("#").strip().lower().startswith(_DIRECTIVES)


def _decode(raw: bytes, bom: bytes) -> tuple[str, str]:
    for mark, name in _OTHER_BOMS.items():
        if raw.startswith(mark):
            raise Unreadable(f"is {name}, which Python does not read")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    except SyntaxError as error:
        raise Unreadable(f"has an unknown encoding: {error}") from error
    encoding = "utf-8" if bom else encoding
    body = raw[len(bom) :]
    try:
        text = body.decode(encoding)
        same = text.encode(encoding) == body
    except (UnicodeError, LookupError) as error:
        raise Unreadable(f"is not {encoding}: {error}") from error
    if not same:
        raise Unreadable(f"would not come back the same when written in {encoding}")
    return encoding, text


def _parse(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise Unreadable(f"does not parse: {where}{error.msg}") from error
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise Unreadable(f"does not parse: {error or type(error).__name__}") from error
