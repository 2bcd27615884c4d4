"""Edits that remove imports which a rewrite leaves unused."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence

from . import blocks
from .findings import Edit
from .positions import Spans
from .scopes import Binding, Scopes
from .source import Source, is_directive


def unused(
    source: Source,
    scopes: Scopes,
    edits: Sequence[Edit],
    may_drop: Callable[[Binding], bool],
) -> list[Binding]:
    """The imports whose last use is removed by `edits`."""
    spans = Spans((edit.start, edit.end) for edit in edits if edit.end > edit.start)
    spoken: dict[str, bool] = {}

    def is_gone(node: ast.AST) -> bool:
        # Before Python 3.12, parts of an f-string have no exact position.
        for above in scopes.above(node):
            if isinstance(above, ast.JoinedStr):
                node = above
        return spans.hold(*source.span(node))

    candidates: dict[int, Binding] = {}
    for name in scopes.nodes(ast.Name):
        if isinstance(name.ctx, ast.Load) and is_gone(name):
            home = scopes.find(name.id, scopes.scope_of(name))
            if home is not None:
                for binding in home.bindings[name.id]:
                    candidates[id(binding.alias)] = binding
    unused = []
    for binding in candidates.values():
        if is_gone(binding.node):
            continue
        only = len(binding.scope.bindings[binding.name]) == 1
        left = [n for n in scopes.uses(binding.scope, binding.name) if not is_gone(n)]
        if (
            binding.kind == "import"
            and only
            and not left
            and not any(scope.is_dynamic for scope in scopes.within(binding.scope))
            and _is_plain(binding, source, scopes)
            and not _is_known(binding.name, scopes, spoken)
            and may_drop(binding)
        ):
            unused.append(binding)
    return unused


def _is_known(name: str, scopes: Scopes, known: dict[str, bool]) -> bool:
    if name not in known:
        known[name] = _is_spoken_of(name, scopes)
    return known[name]


def _is_spoken_of(name: str, scopes: Scopes) -> bool:
    """Whether the name occurs in a string that Python or a tool evaluates: `__all__`, an
    annotation, a doctest.
    """
    word = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
    for node in scopes.nodes(ast.Constant):
        if isinstance(node.value, str) and word.search(node.value):
            if ">>>" in node.value or node.value == name:
                return True
            for above in scopes.above(node):
                if isinstance(above, (ast.arg, ast.AnnAssign, ast.Subscript)):
                    return True
                if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    if above.returns is node:
                        return True
                    break
                if isinstance(above, ast.stmt):
                    break
    return False


def _is_plain(binding: Binding, source: Source, scopes: Scopes) -> bool:
    """Whether the import is alone on its lines in a module or function, without a directive."""
    statement = binding.node
    assert isinstance(statement, (ast.Import, ast.ImportFrom))
    assert binding.alias is not None
    parent = scopes.parents[statement]
    if not isinstance(parent, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    if binding.alias.asname == binding.alias.name or not source.is_alone(statement):
        return False
    start, end = source.span(statement)
    if b"\f" in source.data[source.line_span(statement.lineno)[0] : start]:
        return False
    comments = source.comments_in(start, source.line_span(source.line_of(end))[1])
    # A comment about the purpose of the import is removed with it; a linter directive keeps it.
    return not any(is_directive(comment.text) for comment in comments)


def removals(source: Source, dropped: Sequence[Binding]) -> tuple[list[Edit], set[int]]:
    """The edits that remove imports, and the `id` of each removed alias and statement."""
    edits: list[Edit] = []
    going = {id(binding.alias) for binding in dropped}
    gone = set(going)
    statements = {id(binding.node): binding.node for binding in dropped}
    lines: set[int] = set()
    for statement in statements.values():
        assert isinstance(statement, (ast.Import, ast.ImportFrom))
        if all(id(alias) in going for alias in statement.names):
            lines |= set(range(statement.lineno, (statement.end_lineno or 0) + 1))
    for key, statement in statements.items():
        assert isinstance(statement, (ast.Import, ast.ImportFrom))
        aliases = statement.names
        stays = [id(alias) not in going for alias in aliases]
        if not any(stays):
            gone.add(key)
            edits.append(_without_lines(source, statement, lines))
            continue
        spans = [source.span(alias) for alias in aliases]
        index = 0
        while index < len(aliases):
            if stays[index]:
                index += 1
                continue
            last = index
            while last + 1 < len(aliases) and not stays[last + 1]:
                last += 1
            if last + 1 < len(aliases):
                edits.append(Edit(spans[index][0], spans[last + 1][0], b""))
            else:
                edits.append(Edit(spans[index - 1][1], spans[last][1], b""))
            index = last + 1
    return edits, gone


def beside_additions(
    source: Source, removals: Sequence[Edit], additions: Sequence[Edit]
) -> list[Edit]:
    """`removals`, but a blank line is kept where a new import takes the place of a removed one."""
    edits = []
    replaced = {addition.start for addition in additions}
    for removal in sorted(removals):
        if removal.start in replaced:
            while blocks.is_blank(source, source.line_of(removal.end - 1)):
                last = source.line_span(source.line_of(removal.end - 1))[0]
                removal = removal._replace(end=last)
            replaced.add(removal.end)
        edits.append(removal)
    return edits


def _without_lines(source: Source, statement: ast.stmt, going: set[int]) -> Edit:
    """The edit that removes the lines of `statement`, and the blank line after it if removing the
    lines in `going` would leave two adjacent blank lines.
    """
    first, last = statement.lineno, source.line_of(source.span(statement)[1])
    start, end = source.line_span(first)[0], source.line_span(last)[1]
    while first - 1 in going:
        first -= 1
    above = source.line(first - 1).strip() if first > 1 else b""
    below = last + 1
    while below <= len(source.starts) and blocks.is_blank(source, below):
        below += 1
    blank = below - last - 1
    if blank and (first == 1 or (not above or (above.startswith(b"#") and blank == 1))):
        end = source.line_span(below - 1 if first == 1 else last + 1)[1]
    return Edit(start, end, b"")
