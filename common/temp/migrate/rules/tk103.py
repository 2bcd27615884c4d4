"""TK103: a function that hands out temporary directories."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from . import Rule
from .sites import MKDTEMP, TEMPORARY_DIRECTORY, made

CODE = "TK103"
EXPLAIN = """
A function that returns, yields or passes on a directory from `tempfile` leaves its removal to other
code, and usually nothing removes it.

    def scratch():
        return tempfile.TemporaryDirectory()
becomes, by hand
    def scratch():
        return temp_working_dir("scratch")

Never rewritten, since every caller would get a `Path`, and a context manager without `.name` and
`.cleanup()`.
"""


def find(module: Module) -> Iterator[Finding]:
    """Each directory that a function hands out."""
    yield from _handed_on(module)
    for call, _, role in made(module):
        if role == "factory":
            yield module.finding(
                CODE,
                call,
                "a temporary directory that is handed out",
                "let the callers enter temp_working_dir(), and check what they do with the str",
            )


def _handed_on(module: Module) -> Iterator[Finding]:
    """Each reference to the function or class itself: an alias, a subclass, a `partial`."""
    scopes = module.scopes
    for kind in (ast.Name, ast.Attribute):
        for node in scopes.nodes(kind):
            parent = scopes.parents[node]
            called = isinstance(parent, ast.Call) and parent.func is node
            if called or isinstance(parent, ast.Attribute) or module.is_fallback(node):
                continue
            if scopes.meaning(node).dotted not in (TEMPORARY_DIRECTORY, MKDTEMP):
                continue
            if not _says_the_type(module, node):
                yield module.finding(
                    CODE,
                    node,
                    f"`{ast.unparse(node)}` is passed on instead of called",
                    "pass on temp_working_dir, and check what is done with the str",
                )


def _says_the_type(module: Module, node: ast.expr) -> bool:
    """Whether `node` is an annotation or an operand of a comparison."""
    below: ast.AST = node
    for above in module.scopes.above(node):
        match above:
            case ast.arg():
                return True
            case ast.AnnAssign():
                return below is above.annotation
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return below is above.returns
            case ast.Compare() | ast.Call(func=ast.Name(id="isinstance" | "issubclass" | "cast")):
                return True
            case ast.stmt():
                return False
        below = above
    return False


RULES = (
    Rule(
        CODE,
        "function that hands out temporary directories",
        "",
        EXPLAIN,
        (b"TemporaryDirectory|mkdtemp",),
        find,
    ),
)
