"""The one place that applies edits: those of findings, and the imports they need or leave."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from . import blocks
from .findings import Edit, Finding, Import
from .scopes import Binding, Scopes, is_unknown_star
from .source import Source, Unreadable

_WIDTH: Final = 88
"""How long the line of an import may be before it is broken: as the narrowest formatter has it."""

_TIES: Final = re.compile(rb"\bsys\s*\.\s*path\b")


class NoRoom(Exception):
    """A rewrite that would be right but for the way in which the file is written."""


class Unsound(Exception):
    """A rewrite that the last look at it shows not to be right, and why."""


def compatible(findings: Iterable[Finding]) -> list[Finding]:
    """Of `findings` as many, in their order, as do not edit the same bytes."""
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

    `may_drop` says of an import that is used no more whether it may go. Raises `NoRoom` where an
    import has no place, `Unsound` where what came out would not be, `Unreadable` where the file was
    not before; nothing is to be changed then.
    """
    edits = [edit for finding in findings for edit in finding.edits]
    dropped = _unused(source, scopes, edits, may_drop)
    removals, gone = _removals(source, dropped)
    wanted = list(dict.fromkeys(want for finding in findings for want in finding.imports))
    additions = list(_additions(source, scopes, wanted, gone))
    edits += additions
    edits += _beside_additions(source, removals, additions)
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


def origin(position: int, edits: Iterable[Edit]) -> int:
    """Where `position` of the text after `edits` was before them."""
    shift = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start + shift > position:
            break
        end = edit.start + shift + len(edit.text)
        if position < end:
            return edit.start
        shift += len(edit.text) - (edit.end - edit.start)
    return position - shift


def _check(source: Source, data: bytes, wanted: Iterable[Import]) -> None:
    """Raises `Unsound` unless `data` compiles, with the new names meaning what they should.

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


# -- imports that are used no more ----------------------------------------------------------------


def _unused(
    source: Source,
    scopes: Scopes,
    edits: Sequence[Edit],
    may_drop: Callable[[Binding], bool],
) -> list[Binding]:
    """The imports of which a use was edited away, and no other is left."""

    def is_gone(node: ast.AST) -> bool:
        # Of a part of an f-string nobody knows where it is before Python 3.12.
        for above in scopes.above(node):
            if isinstance(above, ast.JoinedStr):
                node = above
        start, end = source.span(node)
        return any(edit.start <= start and end <= edit.end for edit in edits)

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
            and not _is_spoken_of(binding, scopes)
            and not any(scope.is_dynamic for scope in scopes.within(binding.scope))
            and _is_plain(binding, source, scopes)
            and may_drop(binding)
        ):
            unused.append(binding)
    return unused


def _is_spoken_of(binding: Binding, scopes: Scopes) -> bool:
    """Whether a text that Python or a tool evaluates has the name: `__all__`, an annotation, a
    doctest.
    """
    word = re.compile(rf"(?<![\w.]){re.escape(binding.name)}(?!\w)")
    for node in scopes.nodes(ast.Constant):
        if isinstance(node.value, str) and word.search(node.value):
            if ">>>" in node.value or node.value == binding.name:
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
    """Whether the import stands alone in the body of a module or function, without a comment."""
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
    return not source.comments_in(start, source.line_span(source.line_of(end))[1])


def _removals(source: Source, dropped: Sequence[Binding]) -> tuple[list[Edit], set[int]]:
    """The edits that take imports away, and by `id` the aliases and the statements that go."""
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


def _beside_additions(
    source: Source, removals: Sequence[Edit], additions: Sequence[Edit]
) -> list[Edit]:
    """`removals`, without the blank line that one takes, where an import comes in its place."""
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
    """The edit that takes the lines of `statement` away, with the blank line after it if nothing
    but that is left between blank lines, since the lines in `going` go, too.
    """
    first, last = statement.lineno, source.line_of(source.span(statement)[1])
    start, end = source.line_span(first)[0], source.line_span(last)[1]
    while first - 1 in going:
        first -= 1
    above = _line(source, first - 1).strip() if first > 1 else b""
    below = last + 1
    while below <= len(source.starts) and blocks.is_blank(source, below):
        below += 1
    blank = below - last - 1
    if blank and (first == 1 or (not above or (above.startswith(b"#") and blank == 1))):
        end = source.line_span(below - 1 if first == 1 else last + 1)[1]
    return Edit(start, end, b"")


def _line(source: Source, number: int) -> bytes:
    start, end = source.line_span(number)
    return source.data[start:end]


# -- imports that are wanted ----------------------------------------------------------------------


def _additions(
    source: Source, scopes: Scopes, wanted: Sequence[Import], gone: set[int]
) -> Iterator[Edit]:
    places: dict[int | None, list[Import]] = {}
    for want in wanted:
        if not _is_wanted_above(want, wanted):
            places.setdefault(want.beside, []).append(want)
    for beside, wants in places.items():
        by_module: dict[str, list[Import]] = {}
        for want in wants:
            by_module.setdefault(want.module, []).append(want)
        for several in by_module.values():
            if beside is None:
                yield from _add_to_module(source, several, gone)
            else:
                yield _add_beside(source, scopes, _lines(source, several), beside)


def _is_wanted_above(want: Import, wanted: Sequence[Import]) -> bool:
    """Whether an import for a function comes to the top of the module as well, and before it."""
    return want.beside is not None and any(
        other.beside is None
        and (other.module, other.name, other.alias) == (want.module, want.name, want.alias)
        and other.site < want.site
        for other in wanted
    )


def _lines(source: Source, wants: Sequence[Import], *, is_late: bool = False) -> bytes:
    """The imports of one module; a name that is imported as another has a line of its own. What
    `is_late` follows other code, of which some linters have to be told.
    """
    plain = sorted({want.spelled for want in wants if not want.alias})
    lines = [[name] for name in sorted({want.spelled for want in wants if want.alias})]
    codes = ["E402"] if is_late and b"E402" in source.data else []
    codes += ["F401"] if all(want.unused for want in wants) else []
    noqa = f"  # noqa: {', '.join(codes)}" if codes else ""
    text = ""
    for names in [plain, *lines] if plain else lines:
        line = f"from {wants[0].module} import {', '.join(names)}{noqa}"
        if len(line) > _WIDTH:
            inner = "".join(f"    {name},{source.newline}" for name in names)
            line = f"from {wants[0].module} import ({noqa}{source.newline}{inner})"
        text += line + source.newline
    return text.encode()


def _add_beside(source: Source, scopes: Scopes, text: bytes, beside: int) -> Edit:
    """The edit that adds an import after the one at `beside`, with the same indentation."""
    for kind in (ast.Import, ast.ImportFrom):
        for statement in scopes.nodes(kind):
            if source.span(statement)[0] == beside:
                indent = source.indent(statement.lineno)
                last = source.line_of(source.span(statement)[1])
                end = source.line_span(last)[1]
                lines = text.splitlines(keepends=True)
                return Edit(end, end, b"".join(indent + line for line in lines))
    raise AssertionError("no import there")


def _add_to_module(source: Source, wants: Sequence[Import], gone: set[int]) -> list[Edit]:
    """The edits that add imports of one module to this module's own, before the statement with the
    first site; to one that is there, if there is one.
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
            edits += _extend(source, one, names, gone)
            wants = [want for want in wants if want.alias]
            break
    if wants:
        edits.append(_new_line(source, before, imports, wants, gone))
    return edits


def _new_line(
    source: Source,
    before: Sequence[ast.stmt],
    imports: Sequence[ast.Import | ast.ImportFrom],
    wants: Sequence[Import],
    gone: set[int],
) -> Edit:
    """The edit that adds an import of its own, where an import sorter would have it."""
    module = wants[0].module
    line = _lines(source, wants, is_late=len(_after_barrier(source, before, wants)) < len(before))
    blank = source.newline.encode()
    staying = [one for one in imports if id(one) not in gone]
    if not staying:
        if imports:
            start = source.line_span(imports[0].lineno)[0]
            return Edit(start, start, line)
        barrier = len(before) - len(_after_barrier(source, before, wants)) - 1
        return _add_first(source, before, line, blank, barrier)
    group = _group_for(source, staying, module)
    if group:
        for one in group:
            if isinstance(one, ast.ImportFrom) and (one.module or "").lower() > module.lower():
                start = source.line_span(one.lineno)[0]
                return Edit(start, start, line)
        end = _end_of_lines(source, group[-1])
        return Edit(end, end, line)
    standard = [one for one in staying if _section(one) == "standard"]
    if not standard:  # relative imports alone
        start = source.line_span(staying[0].lineno)[0]
        return Edit(start, start, line + blank)
    end = _end_of_lines(source, standard[-1])
    number = source.line_of(end)
    while any(one.lineno <= number <= (one.end_lineno or 0) for one in imports if id(one) in gone):
        number += 1
    follows = b"" if not _line(source, number).strip() else blank
    return Edit(end, end, blank + line + follows)


def _after_barrier(
    source: Source, before: Sequence[ast.stmt], wants: Sequence[Import]
) -> Sequence[ast.stmt]:
    """What follows the last statement that changes `sys.path`, on which the import may depend, or
    that may bring another meaning of any name; which is welcome to, where nothing here uses it.
    """
    last = -1
    for index, statement in enumerate(before):
        start, end = source.span(statement)
        changes_path = _TIES.search(source.data[start:end]) and not isinstance(
            statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
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
            raise NoRoom("there is no line of its own for an import")
        end = _end_of_lines(source, anchor)
        return Edit(end, end, blank + line)
    first = source.tree.body[0]
    number = min([first.lineno, *(d.lineno for d in getattr(first, "decorator_list", ()))])
    start = source.line_span(number)[0]
    defines = isinstance(first, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    return Edit(start, start, line + blank + blank * defines)


def _extend(
    source: Source, statement: ast.ImportFrom, names: Sequence[str], gone: set[int]
) -> list[Edit]:
    """The edits that add names to an import that is there, each before the first that is greater;
    the aliases in `gone` go.
    """
    edits = []
    staying = [alias for alias in statement.names if id(alias) not in gone]
    last = statement.names[-1]
    for name in names:
        greater = next((alias for alias in staying if alias.name > name), None)
        beside = greater or last
        joint = b", "
        first = source.span(statement.names[0])[0]
        broken = b"(" in source.data[source.span(statement)[0] : first]
        if broken and beside.lineno != statement.lineno:
            joint = f",{source.newline}".encode() + source.indent(beside.lineno)
        start, end = source.span(beside)
        if greater is not None:
            edits.append(Edit(start, start, name.encode() + joint))
        else:
            edits.append(Edit(end, end, joint + name.encode()))
    return edits


def _group_for(
    source: Source, imports: Sequence[ast.Import | ast.ImportFrom], module: str
) -> list[ast.Import | ast.ImportFrom]:
    """The imports among which one of `module` belongs: those of its own package, else those that
    are not of the standard library.
    """
    groups: list[list[ast.Import | ast.ImportFrom]] = []
    for one in imports:
        if groups:
            above = groups[-1][-1]
            between = source.data[_end_of_lines(source, above) : source.line_span(one.lineno)[0]]
            if not between and _section(above) == _section(one):
                groups[-1].append(one)
                continue
        groups.append([one])
    top = module.partition(".")[0]
    for group in groups:
        if any(_top(one) == top for one in group):
            return group
    return next((group for group in groups if _section(group[0]) == "other"), [])


def _top(statement: ast.Import | ast.ImportFrom) -> str:
    if isinstance(statement, ast.Import):
        return statement.names[0].name.partition(".")[0]
    return "." if statement.level else (statement.module or "").partition(".")[0]


def _section(statement: ast.Import | ast.ImportFrom) -> str:
    top = _top(statement)
    if top == ".":
        return "relative"
    return "standard" if top in sys.stdlib_module_names else "other"


def _end_of_lines(source: Source, statement: ast.stmt) -> int:
    return source.line_span(source.line_of(source.span(statement)[1]))[1]
