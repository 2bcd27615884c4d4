"""TK006: `tmp_path`, used only for directories made in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .. import blocks
from ..findings import Edit, Finding
from ..module import Module
from ..scopes import Meaning
from ..source import Source
from . import Rule
from .sites import Prologue, fixture_scope, prologue
from .tk003 import TARGET, is_used_in, names_are_sound

CODE = "TK006"
BY_HAND = "use pytest_temp_dirs() by hand, or keep the line and say why"
EXPLAIN = """
Fixtures and tests that start by making directories in `tmp_path` can get them from
`pytest_temp_dirs`, in an entry with the test's name.

    def test_copy(tmp_path):
        source = tmp_path / "source"
        source.mkdir()
        target = tmp_path / "target"
        target.mkdir()
        copy(source, target)
becomes
    def test_copy():
        with pytest_temp_dirs(2, ["source", "target"]) as (source, target):
            copy(source, target)

Unsafe: pytest keeps the content of `tmp_path` for three runs, while these are deleted when the
block ends (unless `PYTEST_KEEP_TEMPS=1`). A fixture that returns its directories yields them
instead. Rewritten if every child is made and `tmp_path` has no other use.
"""


def find(module: Module) -> Iterator[Finding]:
    """Each test or fixture that uses `tmp_path` only for its children."""
    for function in module.scopes.nodes(ast.FunctionDef):
        parameter = _parameter(function)
        if parameter is None or _is_another(module, function):
            continue
        is_fixture = fixture_scope(module, function) == "function"
        if not is_fixture and not (module.is_test and function.name.startswith("test")):
            continue
        head = prologue(module, _body(function), "tmp_path", is_path=True)
        if len(head.children) < 2 or not is_used_in(
            module, module.scopes.inside(function), head, parameter
        ):
            if _makes_between(module, function):
                yield module.finding(
                    CODE,
                    _body(function)[0],
                    "makes directories in tmp_path, with other statements between",
                    BY_HAND,
                )
            continue
        if all(child.is_made for child in head.children) and names_are_sound(head.children):
            yield _rewrite(module, function, parameter, head, is_fixture)


def _makes_between(module: Module, function: ast.FunctionDef) -> bool:
    """Whether the function uses `tmp_path` only for two or more directories, which it makes among
    other statements.
    """
    made = {
        statement.value.func.value.id
        for statement in function.body
        if isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Attribute)
        and isinstance(statement.value.func.value, ast.Name)
        and statement.value.func.attr == "mkdir"
    }
    named = 0
    for use in module.scopes.uses(module.scopes.inside(function), "tmp_path"):
        match module.scopes.parents[use]:
            case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant()) as child if left is use:
                pass
            case _:
                return False
        match module.scopes.parents[child]:
            case ast.Assign(targets=[ast.Name(id=name)]) if name in made:
                named += 1
            case _:
                return False
    return named >= 2


def _parameter(function: ast.FunctionDef) -> ast.arg | None:
    arguments = function.args
    if arguments.defaults or arguments.posonlyargs or arguments.kwonlyargs:
        return None
    return next((one for one in arguments.args if one.arg == "tmp_path"), None)


def _is_another(module: Module, function: ast.FunctionDef) -> bool:
    """Whether `tmp_path` is not pytest's, but a fixture of this module or passed by a decorator."""
    if any(one.name == "tmp_path" for one in module.scopes.nodes(ast.FunctionDef)):
        return True
    return any(
        isinstance(node, ast.Constant) and "tmp_path" in str(node.value)
        for decorator in function.decorator_list
        for node in ast.walk(decorator)
    )


def _body(function: ast.FunctionDef) -> list[ast.stmt]:
    match function.body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return function.body


def _rewrite(
    module: Module, function: ast.FunctionDef, parameter: ast.arg, head: Prologue, is_fixture: bool
) -> Finding:
    source = module.source
    first = head.statements[0]
    found = module.finding(
        CODE,
        first,
        "makes directories in tmp_path; use pytest_temp_dirs()",
        "pytest keeps tmp_path for three runs, this does not",
    )
    rest = _body(function)[len(head.statements) :]
    removed = blocks.without(source, head.statements, at_head=True)
    unit = blocks.unit_of(source, first, function)
    choice = module.choose(TARGET, first, Meaning())
    if removed is None or not rest or unit is None or not source.is_alone(rest[0]):
        return found.left("makes directories in tmp_path, with no room for a with block", BY_HAND)
    if choice is None:
        return found.left(f"the name {TARGET} is taken here", BY_HAND)
    returned = _returns(module, function)
    if is_fixture and returned and returned != [function.body[-1]]:
        return found.left("makes directories in tmp_path, and returns early", BY_HAND)
    if is_fixture and returned and function.returns is not None:
        return found.left("makes directories in tmp_path, and has a return annotation", BY_HAND)
    names = ", ".join(source.quoted(child.name) for child in head.children)
    variables = ", ".join(child.variable for child in head.children)
    start = source.line_span(source.line_of(source.span(first)[0]))[0]
    opening = (
        source.indent(first.lineno)
        + f"with {choice.name}({len(head.children)}, [{names}]) as ({variables}):".encode()
        + source.newline.encode()
    )
    edits = [
        Edit(start, start, opening),
        *removed,
        *_without_parameter(source, function, parameter),
    ]
    edits += [
        Edit(at, at + len(b"return"), b"yield")
        for at in (source.span(one)[0] for one in returned if is_fixture)
    ]
    after = blocks.last_line(source, head.statements[-1]) + 1
    edits += blocks.indented(source, after, blocks.last_line(source, rest[-1]), unit)
    edits = _without_blank(edits, removed)
    return found.fixed("unsafe", edits, choice.imports, moves=True)


def _without_blank(edits: list[Edit], removed: list[Edit]) -> list[Edit]:
    """`edits` without those that would move a removed line."""
    return [
        edit
        for edit in edits
        if edit in removed
        or edit.end > edit.start
        or not any(one.start < edit.start < one.end for one in removed)
    ]


def _returns(module: Module, function: ast.FunctionDef) -> list[ast.stmt]:
    return [
        node
        for node in module.scopes.nodes(ast.Return)
        if node.value is not None and module.scopes.function(node) is function
    ]


def _without_parameter(source: Source, function: ast.FunctionDef, parameter: ast.arg) -> list[Edit]:
    arguments = function.args.args
    index = arguments.index(parameter)
    spans = [source.span(one) for one in arguments]
    if index + 1 < len(arguments):
        return [Edit(spans[index][0], spans[index + 1][0], b"")]
    if index:
        return [Edit(spans[index - 1][1], spans[index][1], b"")]
    end = spans[index][1]
    trailing = source.data[end : end + 1] == b","
    return [Edit(spans[index][0], end + trailing, b"")]


RULES = (Rule(CODE, "tmp_path for its children", "unsafe", EXPLAIN, (b"tmp_path", b"mkdir"), find),)
