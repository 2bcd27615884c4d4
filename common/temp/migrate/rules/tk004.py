"""TK004: `with tempfile.TemporaryDirectory() as d:`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..findings import Edit, Finding, Fix
from ..helpers import is_label
from ..module import Module
from . import Rule
from .sites import TEMPORARY_DIRECTORY, WithSite, literal_prefix, with_sites

CODE = "TK004"
TARGET = "temp_working_dir"
BEYOND = "stay inside the directory, or give `--unsafe` if that does not matter"
EXPLAIN = """
`tempfile.TemporaryDirectory` makes a directory in the system's temporary directory. If the process
is killed, it stays there, and nobody knows whose it was. `temp_working_dir` makes one there as
well, in a place that is private to this user, but it has an owner, is listed, and is cleaned once
its process is gone.

    with tempfile.TemporaryDirectory() as d:
        shutil.copy(source, os.path.join(d, "copy"))
becomes
    with temp_working_dir("copy_file") as d:
        shutil.copy(source, os.path.join(d, "copy"))

The old `d` is a `str`, the new one a `Path`. It is rewritten if every use of it means the same for
both: `Path(d)`, `str`, `os.path`, `open`, `shutil`, an f-string, a subprocess and so on. If one use
does not (`d + "/x"`, a comparison, `return d`, a call of your own function), the rewrite is unsafe:
`--unsafe` then keeps a `str` under the old name, `d = str(d_path)`. With a literal `prefix` the
rewrite is unsafe as well, since the directory gets another name.

The new directory is private (mode 700), as the old one was. But its parent is private too, and its
name does not begin with `tmp`. So the rewrite is unsafe if the code uses its name or its parent,
makes something beside it (`f"{d}.zip"`), or lets other users in. It is also unsafe where code
replaces something that the new directory needs (`patch("time.time")`), or sets or inspects the
system's temporary directory (`os.listdir(tempfile.gettempdir())`).
"""


def find(module: Module) -> Iterator[Finding]:
    """Each `with` over a `TemporaryDirectory`."""
    for site in with_sites(module):
        yield propose(module, site)


def propose(module: Module, site: WithSite) -> Finding:
    """The finding of TK004 for one site."""
    statement, item, call, meaning = site
    found = module.finding(CODE, call, "tempfile.TemporaryDirectory(); use temp_working_dir()")
    label, fix = _label(module, call)
    target = item.optional_vars
    if target is not None and not isinstance(target, ast.Name):
        return found.left(
            f"TemporaryDirectory() is kept as `{ast.unparse(target)}`",
            "use temp_working_dir() and a plain name, and look at every use",
        )
    start, end = module.source.span(call)
    if module.source.comments_in(start, end):
        return found.left("a comment is inside the call", "move the comment out of the call")
    replaced = module.tree.replaced(module.path, {"tempfile", "TemporaryDirectory"})
    if replaced:
        return found.left(f"TemporaryDirectory() is replaced by {replaced}", "change both at once")
    choice = module.choose(TARGET, call, meaning)
    if choice is None:
        return found.left(*module.not_free(TARGET, call))
    edits = [module.calling(call, choice.name, module.source.quoted(label))]
    if target is not None:
        scope = module.scopes.find(target.id, module.scopes.scope_of(statement))
        assert scope is not None
        unsafe = module.uses.unsafe(scope, target.id, statement)
        if unsafe:
            message = f"`{target.id}` would be a Path, not a str: {unsafe}"
            advice = "use the Path in that place, or `--unsafe`, which keeps a str"
            kept = _keep_text(module, site, target)
            if kept is None:
                return found.left(message, "use the Path in that place")
            edits += kept
            return found.fixed("unsafe", edits, choice.imports, message, advice)
        if beyond := module.uses.beyond(scope, target.id, statement):
            message = f"the new directory is not the same from outside: {beyond}"
            return found.fixed("unsafe", edits, choice.imports, message, BEYOND)
    return found.fixed(fix, edits, choice.imports)


def _label(module: Module, call: ast.Call) -> tuple[str, Fix]:
    """The name of the new directory, and whether that makes the rewrite unsafe."""
    prefix = (literal_prefix(call) or "").strip("-_. ")
    if prefix and is_label(prefix):
        return prefix, "unsafe"
    return module.label(call), "unsafe" if call.keywords else "safe"


def _keep_text(module: Module, site: WithSite, target: ast.Name) -> list[Edit] | None:
    """The edits that keep the old name a `str`; `None` if there is no place for them."""
    statement = site.statement
    first = statement.body[0]
    source = module.source
    fresh = f"{target.id}_path"
    scope = module.scopes.scope_of(statement)
    if (
        statement.items[-1] is not site.item
        or scope.kind == "class"
        or target.id in scope.globals | scope.nonlocals
        or module.scopes.find(fresh, scope) is not None
        or not begins_line(module, first)
    ):
        return None
    text = f"{target.id} = str({fresh}){source.newline}".encode()
    return [module.replacing(target, fresh), opening_line(module, first, text)]


def opening_line(module: Module, first: ast.stmt, text: bytes) -> Edit:
    """The edit that puts `text` at the start of the block that begins with `first`, before the
    comments there.
    """
    source = module.source
    line = top = source.line_of(_start(module, first))
    while not (above := _line(module, top - 1)) or above.startswith(b"#"):
        top -= 1
    start = source.line_span(top)[0]
    return Edit(start, start, source.indent(line) + text)


def _line(module: Module, number: int) -> bytes:
    start, end = module.source.line_span(number)
    return module.source.data[start:end].strip()


def _start(module: Module, statement: ast.stmt) -> int:
    decorators = getattr(statement, "decorator_list", [])
    if decorators:
        return min(module.source.span(one)[0] for one in decorators) - 1
    return module.source.span(statement)[0]


def begins_line(module: Module, statement: ast.stmt) -> bool:
    """Whether `statement`, with its decorators, is the first thing on its line."""
    start = _start(module, statement)
    line = module.source.line_span(module.source.line_of(start))[0]
    return not module.source.data[line:start].strip()


RULES = (
    Rule(
        CODE, f"with {TEMPORARY_DIRECTORY}() as d", "safe", EXPLAIN, (b"TemporaryDirectory",), find
    ),
)
