"""TK008: `mkdtemp` with its `rmtree`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from .. import blocks
from ..findings import Edit, Finding
from ..module import Module
from . import Rule
from .sites import Made, fixture_scope, literal_prefix, made
from .tk004 import TARGET, begins_line, opening_line

CODE = "TK008"
EXPLAIN = """
`mkdtemp` with `rmtree` in a `finally`, or after the `yield` of a fixture, is a hand-written `with`
block, whose directory stays forever if the process is killed.

    work = tempfile.mkdtemp()
    try:
        build(work)
    finally:
        shutil.rmtree(work)
becomes
    with temp_working_dir("make") as work_path:
        work = str(work_path)
        build(work)

If every use of the name means the same for a `Path`, the `str` is left out. Unsafe: `rmtree` raises
if something cannot be deleted, while the end of the block logs a warning and leaves it to the next
sweep.
"""


class Form(NamedTuple):
    """An assignment of a new directory, and the statement that deletes it.

    `end` is a `try` whose `finally` deletes it, or the last statement of a fixture.
    """

    statement: ast.Assign
    name: str
    end: ast.stmt
    between: tuple[ast.stmt, ...]
    is_path: bool


def find(module: Module) -> Iterator[Finding]:
    """Each `mkdtemp` whose directory is certainly removed when its block ends."""
    for site in made(module):
        if site.role != "loose":
            continue
        form = form_of(module, site)
        if form is not None:
            yield _propose(module, site, form)


def form_of(module: Module, site: Made) -> Form | None:
    """How the directory of a loose `mkdtemp` is made and removed; `None` for an unknown form."""
    scopes = module.scopes
    parent = scopes.parents[site.call]
    is_path = False
    if isinstance(parent, ast.Call):
        if scopes.meaning(parent.func).dotted != "pathlib.Path" or len(parent.args) != 1:
            return None
        is_path, parent = True, scopes.parents[parent]
    if not isinstance(parent, ast.Assign):
        return None
    match parent.targets:
        case [ast.Name(id=name)]:
            pass
        case _:
            return None
    scope = scopes.find(name, scopes.scope_of(parent))
    if scope is None or scope.kind == "class" or len(scope.bindings[name]) != 1:
        return None
    holder = scopes.parents[parent]
    place = scopes.place(parent)
    if place is None or place[0] is not getattr(holder, "body", None):
        return None
    block, index = place
    match block[index + 1 : index + 2]:
        case [ast.Try(handlers=[], orelse=[], finalbody=[last]) as end]:
            if _removes(module, last, name):
                return Form(parent, name, end, tuple(end.body), is_path)
    following = block[index + 1 :] if isinstance(holder, ast.FunctionDef) else []
    if (
        len(following) > 1
        and isinstance(holder, ast.FunctionDef)
        and fixture_scope(module, holder) == "function"
        and _removes(module, following[-1], name)
        and any(_yields(one) for one in following[:-1])
    ):
        return Form(parent, name, following[-1], tuple(following[:-1]), is_path)
    return None


def _removes(module: Module, statement: ast.stmt, name: str) -> bool:
    match statement:
        case ast.If(test=ast.Call(func=func, args=arguments), body=[only], orelse=[]):
            asked = module.scopes.meaning(func).dotted in ("os.path.exists", "os.path.isdir")
            by_path = isinstance(func, ast.Attribute) and func.attr in ("exists", "is_dir")
            named = func.value if by_path and isinstance(func, ast.Attribute) else None
            subject = arguments[0] if asked and arguments else named
            known = isinstance(subject, ast.Name) and subject.id == name
            return known and _removes(module, only, name)
        case ast.Expr(
            value=ast.Call(func=func, args=[ast.Name(id=used), *more], keywords=keywords)
        ):
            constant = all(isinstance(one, ast.Constant) for one in more)
            quiet = all(
                keyword.arg == "ignore_errors" and isinstance(keyword.value, ast.Constant)
                for keyword in keywords
            )
            removed = module.scopes.meaning(func).dotted == "shutil.rmtree"
            return removed and used == name and constant and quiet
    return False


def _yields(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Yield)


def _propose(module: Module, site: Made, form: Form) -> Finding:
    source = module.source
    found = module.finding(CODE, site.call, "mkdtemp() with its rmtree(); use temp_working_dir()")
    by_hand = "use temp_working_dir() by hand"
    choice = module.choose(TARGET, site.call, site.meaning)
    if choice is None:
        return found.left(*module.not_free(TARGET, site.call))
    scope = module.scopes.find(form.name, module.scopes.scope_of(form.statement))
    assert scope is not None
    keeps_text = not form.is_path and module.uses.unsafe(scope, form.name, form.statement)
    target = f"{form.name}_path" if keeps_text else form.name
    if keeps_text and module.scopes.find(target, scope) is not None:
        return found.left(f"mkdtemp() with its rmtree(), but {target} is taken", by_hand)
    prefix = (literal_prefix(site.call) or "").strip("-_. ")
    label = source.quoted(prefix or module.label(site.call))
    opening = f"with {choice.name}({label}) as {target}:".encode()
    text = f"{form.name} = str({target}){source.newline}".encode() if keeps_text else b""
    if isinstance(form.end, ast.Try):
        edits = _around_try(module, form, form.end, opening, text)
    else:
        edits = _around_yield(module, form, opening, text)
    if edits is None:
        return found.left("mkdtemp() with its rmtree(), with a comment that would be lost", by_hand)
    moves = not isinstance(form.end, ast.Try)
    return found.fixed("unsafe", edits, choice.imports, moves=moves)


def _around_try(
    module: Module, form: Form, end: ast.Try, opening: bytes, text: bytes
) -> list[Edit] | None:
    source = module.source
    first, last = end.body[0], end.body[-1]
    head = source.span(end)[0]
    colon = source.data.find(b":", head) + 1
    start = source.span(form.statement)[0]
    after = source.line_span(blocks.last_line(source, last))[1]
    stop = source.line_span(blocks.last_line(source, end))[1]
    if (
        source.data[head:colon].replace(b" ", b"") != b"try:"
        or not begins_line(module, first)
        or not source.is_alone(form.statement)
        or not source.is_alone(last)
        or not source.is_alone(end.finalbody[-1])
        or source.comments_in(start, colon)
        or source.comments_in(after, stop)
    ):
        return None
    edits = [Edit(start, colon, opening), Edit(after, stop, b"")]
    return [*edits, opening_line(module, first, text)] if text else edits


def _around_yield(module: Module, form: Form, opening: bytes, text: bytes) -> list[Edit] | None:
    source = module.source
    function = module.scopes.parents[form.statement]
    assert isinstance(function, ast.FunctionDef)
    unit = blocks.unit_of(source, form.statement, function)
    removed = blocks.without(source, [form.end])
    if unit is None or removed is None or not source.is_alone(form.statement):
        return None
    top = blocks.last_line(source, form.statement) + 1
    bottom = form.end.lineno - 1
    while blocks.is_blank(source, bottom):
        bottom -= 1
    removed = [Edit(source.line_span(bottom)[1], removed[-1].end, b"")]
    line = source.line_span(top)[0]
    kept = source.indent(form.statement.lineno) + unit + text if text else b""
    moved = blocks.indented(source, top, bottom, unit)
    opened = module.replacing(form.statement, opening.decode())
    # One edit instead of two at the same byte, whose order would matter.
    if kept and moved and moved[0].start == line:
        moved[0] = moved[0]._replace(text=kept + moved[0].text)
        kept = b""
    return [opened, *([Edit(line, line, kept)] if kept else []), *moved, *removed]


RULES = (Rule(CODE, "mkdtemp with its rmtree", "unsafe", EXPLAIN, (b"mkdtemp", b"rmtree"), find),)
