"""Edits that add the imports a rewrite needs, in the usual places."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from .findings import Edit, Import
from .source import Source
from .stars import is_unknown_star
from .style import Style

_TIES: Final = re.compile(rb"\bsys\s*\.\s*path\b")


class NoRoom(Exception):
    """The layout of the file leaves no place for a correct rewrite."""


def additions(
    source: Source, wanted: Sequence[Import], gone: set[int], style: Style
) -> Iterator[Edit]:
    """The edits that add the imports `wanted`; imports whose `id` is in `gone` are being removed.

    Raises `NoRoom` if there is no place for an import.
    """
    places: dict[int | None, list[Import]] = {}
    above: dict[tuple[str, str, str], int] = {}
    for want in wanted:
        if want.beside is None:
            key = (want.module, want.name, want.alias)
            above[key] = min(want.site, above.get(key, want.site))
    for want in wanted:
        # An import added earlier at the top of the module also serves the functions below it.
        first = above.get((want.module, want.name, want.alias))
        if want.beside is None or first is None or first >= want.site:
            places.setdefault(want.beside, []).append(want)
    for beside, wants in places.items():
        by_module: dict[str, list[Import]] = {}
        for want in wants:
            by_module.setdefault(want.module, []).append(want)
        for several in by_module.values():
            if beside is None:
                yield from _add_to_module(source, several, gone, style)
            else:
                yield _add_beside(source, _lines(source, several, style.width), beside, gone)


def _lines(source: Source, wants: Sequence[Import], width: int, *, is_late: bool = False) -> bytes:
    """The import lines for one module, with each alias on its own line. If `is_late`, other code
    comes before them, so they get a `noqa` comment.
    """
    plain = sorted({want.spelled for want in wants if not want.alias})
    lines = [[name] for name in sorted({want.spelled for want in wants if want.alias})]
    codes = ["E402"] if is_late and b"E402" in source.data else []
    codes += ["F401"] if all(want.unused for want in wants) else []
    noqa = f"  # noqa: {', '.join(codes)}" if codes else ""
    text = ""
    for names in [plain, *lines] if plain else lines:
        line = f"from {wants[0].module} import {', '.join(names)}{noqa}"
        if len(line) > width:
            inner = "".join(f"    {name},{source.newline}" for name in names)
            line = f"from {wants[0].module} import ({noqa}{source.newline}{inner})"
        text += line + source.newline
    return text.encode()


def _add_beside(source: Source, text: bytes, beside: int, gone: set[int]) -> Edit:
    """The edit that adds an import after the one at `beside` and the standard library imports that
    follow it, with the same indentation.
    """
    last = source.statement_at(beside)
    indent = source.indent(last.lineno)
    starts, ends = source.imports
    following = starts.get((last.end_lineno or 0) + 1)
    while following is not None and _top(following) in sys.stdlib_module_names:
        last, following = following, starts.get((following.end_lineno or 0) + 1)
    above = ends.get(last.end_lineno or 0)
    while above is not None and id(above) in gone:
        above = ends.get(above.lineno - 1)
    end = _end_of_lines(source, last)
    lines = text.splitlines(keepends=True)
    blank = source.newline.encode() if above is not None else b""
    return Edit(end, end, blank + b"".join(indent + line for line in lines))


def _add_to_module(
    source: Source, wants: Sequence[Import], gone: set[int], style: Style
) -> list[Edit]:
    """The edits that add imports of one module at the top level, before the statement that contains
    the first site. If there is an import of that module, it is extended.
    """
    site = min(want.site for want in wants)
    before = [one for one in source.tree.body if source.span(one)[1] <= site]
    imports = [
        one
        for one in _after_barrier(source, before, wants)
        if isinstance(one, (ast.Import, ast.ImportFrom))
        and source.is_alone(one)
        and not (isinstance(one, ast.ImportFrom) and one.module == "__future__")
    ]
    edits: list[Edit] = []
    for one in imports:
        if (
            isinstance(one, ast.ImportFrom)
            and (one.module, one.level) == (wants[0].module, 0)
            and id(one) not in gone
            and one.names[0].name != "*"
        ):
            names = sorted({want.name for want in wants if not want.alias})
            edits += _extend(source, one, names, gone, style.width)
            wants = [want for want in wants if want.alias]
            break
    if wants:
        edits.append(_new_line(source, before, imports, wants, gone, style))
    return edits


def _new_line(
    source: Source,
    before: Sequence[ast.stmt],
    imports: Sequence[ast.Import | ast.ImportFrom],
    wants: Sequence[Import],
    gone: set[int],
    style: Style,
) -> Edit:
    """The edit that adds a new import line where an import sorter would put it."""
    module = wants[0].module
    is_late = len(_after_barrier(source, before, wants)) < len(before)
    line = _lines(source, wants, style.width, is_late=is_late)
    blank = source.newline.encode()
    staying = [one for one in imports if id(one) not in gone]
    if not staying:
        if imports:
            start = source.line_span(imports[0].lineno)[0]
            return Edit(start, start, line)
        barrier = len(before) - len(_after_barrier(source, before, wants)) - 1
        return _add_first(source, before, line, blank, barrier)
    order = _Order(style, module)
    group = order.group(source, staying)
    if group:
        for one in group:
            if isinstance(one, ast.ImportFrom) and (one.module or "").lower() > module.lower():
                start = source.line_span(one.lineno)[0]
                return Edit(start, start, line)
        end = _end_of_lines(source, group[-1])
        return Edit(end, end, line)
    earlier = order.earlier(staying)
    if not earlier:
        start = source.line_span(staying[0].lineno)[0]
        return Edit(start, start, line + blank)
    end = _end_of_lines(source, earlier[-1])
    number = source.line_of(end)
    while any(one.lineno <= number <= (one.end_lineno or 0) for one in imports if id(one) in gone):
        number += 1
    follows = b"" if not source.line(number).strip() else blank
    return Edit(end, end, blank + line + follows)


def _after_barrier(
    source: Source, before: Sequence[ast.stmt], wants: Sequence[Import]
) -> Sequence[ast.stmt]:
    """The statements after the last one that the import must follow, which is one that changes
    `sys.path`, or a star import that could rebind the imported name.
    """
    last = -1
    for index, statement in enumerate(before):
        start, end = source.span(statement)
        # A change made by a block is usually undone when it ends.
        changes_path = _TIES.search(source.data[start:end]) and not isinstance(
            statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.With)
        )
        used = not all(want.unused for want in wants)
        if changes_path or (used and is_unknown_star(statement)):
            last = index
    return before[last + 1 :]


def _add_first(
    source: Source, before: Sequence[ast.stmt], line: bytes, blank: bytes, barrier: int
) -> Edit:
    """The edit that adds the first import: after a docstring, `__future__` or `sys.path`."""
    leading = -1
    for index, statement in enumerate(before):
        docstring = (
            index == 0
            and isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str)
        )
        future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if docstring or future or index <= barrier:
            leading = index
        else:
            break
    leading = max(leading, barrier)
    if leading >= 0:
        anchor = before[leading]
        if not source.is_alone(anchor):
            raise NoRoom("there is no free line for an import")
        end = _end_of_lines(source, anchor)
        return Edit(end, end, blank + line)
    first = source.tree.body[0]
    number = min([first.lineno, *(d.lineno for d in getattr(first, "decorator_list", ()))])
    start = source.line_span(number)[0]
    defines = isinstance(first, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    return Edit(start, start, line + blank + blank * defines)


def _extend(
    source: Source, statement: ast.ImportFrom, names: Sequence[str], gone: set[int], width: int
) -> list[Edit]:
    """The edits that add names to an existing import, in sorted order. The aliases in `gone` are
    being removed.
    """
    edits = []
    staying = [alias for alias in statement.names if id(alias) not in gone]
    last = statement.names[-1]
    first = source.span(statement.names[0])[0]
    broken = b"(" in source.data[source.span(statement)[0] : first]
    for name in names:
        greater = next((alias for alias in staying if alias.name > name), None)
        beside = greater or last
        joint = b", "
        if broken and beside.lineno != statement.lineno:
            joint = f",{source.newline}".encode() + source.indent(beside.lineno)
        start, end = source.span(beside)
        if greater is not None:
            edits.append(Edit(start, start, name.encode() + joint))
        else:
            edits.append(Edit(end, end, joint + name.encode()))
    length = len(source.line(statement.lineno).rstrip()) + sum(len(edit.text) for edit in edits)
    if broken or length <= width or len(staying) < len(statement.names):
        return edits
    written = [source.written(alias) for alias in staying]
    lines = "".join(f"    {name},{source.newline}" for name in sorted([*written, *names]))
    end = source.span(last)[1]
    return [Edit(first, end, f"({source.newline}{lines})".encode())]


class _Order:
    """Where an import sorter puts an import of `module`."""

    def __init__(self, style: Style, module: str) -> None:
        self._is_local = style.is_local
        self._top = module.partition(".")[0]
        self._place = self._section_of(self._top)

    def _section_of(self, top: str) -> int:
        if top == ".":
            return 3
        if top in sys.stdlib_module_names:
            return 0
        return 2 if self._is_local(top) else 1

    def _section(self, statement: ast.Import | ast.ImportFrom) -> int:
        return self._section_of(_top(statement))

    def group(
        self, source: Source, imports: Sequence[ast.Import | ast.ImportFrom]
    ) -> list[ast.Import | ast.ImportFrom]:
        """The group of imports that it belongs to: that of its package, else of its section."""
        groups: list[list[ast.Import | ast.ImportFrom]] = []
        for one in imports:
            if groups:
                above = groups[-1][-1]
                start = source.line_span(one.lineno)[0]
                between = source.data[_end_of_lines(source, above) : start]
                if not between and self._section(above) == self._section(one):
                    groups[-1].append(one)
                    continue
            groups.append([one])
        for group in groups:
            if any(_top(one) == self._top for one in group):
                return group
        return next((group for group in groups if self._section(group[0]) == self._place), [])

    def earlier(
        self, imports: Sequence[ast.Import | ast.ImportFrom]
    ) -> list[ast.Import | ast.ImportFrom]:
        """The `imports` in sections that come before its own."""
        return [one for one in imports if self._section(one) < self._place]


def _top(statement: ast.Import | ast.ImportFrom) -> str:
    if isinstance(statement, ast.Import):
        return statement.names[0].name.partition(".")[0]
    return "." if statement.level else (statement.module or "").partition(".")[0]


def _end_of_lines(source: Source, statement: ast.stmt) -> int:
    return source.line_span(source.line_of(source.span(statement)[1]))[1]
