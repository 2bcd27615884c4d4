"""TK007: a directory in `.tmp` whose name is fixed, or ends with the time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import islice

from .. import blocks
from ..findings import Finding
from ..helpers import is_label
from ..module import Module
from ..scopes import Meaning, Scope
from . import Rule

CODE = "TK007"
TARGET = "TempManager"
EXPLAIN = """
A directory that is always `.tmp/x` is shared by all runs: concurrent runs overwrite each other, and
nothing shows whether it is in use.

    out = Path(".tmp") / "x"
    out.mkdir(parents=True, exist_ok=True)
becomes
    out = TempManager.create_persistent_dir("x", "work")

`Path(".tmp") / f"x_{int(time.time())}"` becomes the same: two runs in one second would share it.

Unsafe: a fixed path becomes a new one for each run, `.tmp/work/x_<epoch>`, in the project's root.
Code that looks for the results of the last run in `.tmp/x` does not find them. Only the statement
that makes the directory is rewritten, never one that deletes it or checks whether it exists.
"""
_BY_HAND = "use TempManager.create_persistent_dir() by hand"


def find(module: Module) -> Iterator[Finding]:
    """Each directory with a fixed name that is made."""
    for statement, name, label, made in _sites(module):
        found = module.finding(
            CODE,
            statement,
            f"makes .tmp/{label}; use TempManager.create_persistent_dir()",
            "a fixed path would become a new one for each run",
        )
        if made is not None:
            yield _propose(module, statement, name, label, made, found)
        elif line := _made_later(module, name, statement):
            yield found.left(
                f"makes .tmp/{label} on line {line}, but not directly by a plain mkdir()", _BY_HAND
            )


def _sites(module: Module) -> Iterator[tuple[ast.Assign, str, str, ast.stmt | None]]:
    """Each assignment of a path with a fixed name in `.tmp`, with its variable, its label, and the
    statement that makes it directly, if any.
    """
    for statement in module.scopes.nodes(ast.Assign):
        match statement.targets:
            case [ast.Name(id=name)]:
                label = _label(module, statement.value)
            case _:
                continue
        if label is not None and not module.is_fallback(statement):
            yield statement, name, label, _made(module, statement, name)


def statements_of(module: Module) -> set[int]:
    """The `id` of each statement that this rule reports or that only names the base."""
    found = {
        id(statement)
        for statement, name, _, made in _sites(module)
        if made is not None or _made_later(module, name, statement)
    }
    for statement in module.scopes.nodes(ast.Assign) if found else ():
        match statement.targets:
            case [ast.Name(id=name)] if _is_base(module, statement.value):
                home = module.scopes.find(name, module.scopes.scope_of(statement))
                uses = module.scopes.uses(home, name) if home is not None else []
                if uses and all(id(module.scopes.statement(use)) in found for use in uses):
                    found.add(id(statement))
    return found


def _propose(
    module: Module, statement: ast.Assign, name: str, label: str, made: ast.stmt, found: Finding
) -> Finding:
    if not is_label(label):
        return found.left(f"makes .tmp/{label}, which is not a single name", _BY_HAND)
    removed = _removed(module, name, statement)
    if removed:
        return found.left(f"makes .tmp/{label}, and deletes it on line {removed}", _BY_HAND)
    start, end = module.source.span(statement.value)
    edits = blocks.without(module.source, [made])
    choice = module.choose(TARGET, statement, Meaning())
    if edits is None or choice is None or module.source.comments_in(start, end):
        return found.left(f"makes .tmp/{label}, with a comment or a name in the way", _BY_HAND)
    quoted = module.source.quoted
    call = f"{choice.name}.create_persistent_dir({quoted(label)}, {quoted('work')})"
    return found.fixed("unsafe", [module.replacing(statement.value, call), *edits], choice.imports)


def _label(module: Module, node: ast.expr) -> str | None:
    """The x of `Path(".tmp") / "x"`, however that is written; `None` for anything else."""
    match node:
        case ast.BinOp(left=left, op=ast.Div(), right=said):
            return _text(module, said) if _is_base(module, left) else None
        case ast.Call(func=ast.Attribute(value=base, attr="joinpath"), args=[said], keywords=[]):
            return _text(module, said) if _is_base(module, base) else None
        case ast.Call(func=func, args=[ast.Constant(value=".tmp"), said]):
            return _text(module, said) if _is_path(module, func) else None
        case ast.Call(func=func, args=[said], keywords=[]):
            text = _text(module, said) or ""
            inside = text.startswith(".tmp/") and _is_path(module, func)
            return text.removeprefix(".tmp/").rstrip("/") or None if inside else None
    return None


def _text(module: Module, said: ast.expr) -> str | None:
    """The text of a literal, or of `f"x_{int(time.time())}"` without the time; else `None`."""
    match said:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(
            values=[
                ast.Constant(value=str(text)),
                ast.FormattedValue(
                    value=ast.Call(func=whole, args=[ast.Call(func=clock, args=[], keywords=[])]),
                    conversion=-1,
                    format_spec=None,
                ),
            ]
        ) if text.endswith("_"):
            said_by = (module.scopes.meaning(one).dotted for one in (whole, clock))
            return text[:-1] if [*said_by] == ["builtins.int", "time.time"] else None
    return None


def _is_base(module: Module, node: ast.expr) -> bool:
    match node:
        case ast.Call(func=func, args=[ast.Constant(value=".tmp")], keywords=[]):
            return _is_path(module, func)
        case ast.Name():
            binding = module.scopes.meaning(node).binding
            if binding is None or binding.kind != "value":
                return False
            parent = module.scopes.parents.get(binding.node)
            return (
                isinstance(parent, ast.Assign)
                and isinstance(parent.value, ast.Call)
                and _is_base(module, parent.value)
            )
    return False


def _is_path(module: Module, func: ast.expr) -> bool:
    return module.scopes.meaning(func).dotted == "pathlib.Path"


def _made(module: Module, statement: ast.stmt, name: str) -> ast.stmt | None:
    """The statement of the block that makes the directory, if nothing before it uses the name."""
    place = module.scopes.place(statement)
    block, index = place or ([statement], 0)
    for following in islice(block, index + 1, None):
        match following:
            case ast.Expr(
                value=ast.Call(
                    func=ast.Attribute(value=ast.Name(id=used), attr="mkdir"),
                    args=[],
                    keywords=keywords,
                )
            ) if used == name:
                plain = all(
                    keyword.arg in ("parents", "exist_ok")
                    and isinstance(keyword.value, ast.Constant)
                    for keyword in keywords
                )
                return following if plain else None
        if any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(following)):
            return None
    return None


def _made_later(module: Module, name: str, statement: ast.stmt) -> int:
    """The line that makes the directory later; 0 if none does."""

    def making(home: Scope | None, name: str) -> int:
        return _line_of(module, home, name, frozenset({"mkdir"}), _MAKERS)

    return module.of_name(name, statement, making)


def _removed(module: Module, name: str, statement: ast.stmt) -> int:
    """The line that deletes the directory again; 0 if none does."""

    def removing(home: Scope | None, name: str) -> int:
        return _line_of(module, home, name, frozenset({"rmdir", "unlink", "rename"}), _REMOVERS)

    return module.of_name(name, statement, removing)


def _line_of(
    module: Module, home: Scope | None, name: str, methods: frozenset[str], called: frozenset[str]
) -> int:
    """The first line that calls one of `methods` on the variable or passes it to a `called` one."""
    for use in module.scopes.uses(home, name) if home is not None else ():
        parent = module.scopes.parents[use]
        if isinstance(parent, ast.Attribute) and parent.attr in methods:
            return use.lineno
        if isinstance(parent, ast.Call) and module.scopes.meaning(parent.func).dotted in called:
            return use.lineno
    return 0


_MAKERS = frozenset({"os.mkdir", "os.makedirs"})
_REMOVERS = frozenset({"shutil.rmtree", "os.rmdir", "os.removedirs", "shutil.move", "os.rename"})

RULES = (
    Rule(
        CODE,
        "directory of a fixed name in .tmp",
        "unsafe",
        EXPLAIN,
        (b"'.tmp|\".tmp", b"mkdir"),
        find,
    ),
)
