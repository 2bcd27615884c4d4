"""Finds lists that are the arguments of a process, and code that may show or read them."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cached_property
from typing import Final

from . import swaps
from .guards import last
from .path_likes import RUN
from .scopes import Scopes

_SHOWING: Final = frozenset(
    {"BaseException", "CalledProcessError", "Exception", "SubprocessError", "TimeoutExpired"}
)
"""Exceptions that may show the command of a process when they are caught."""
_KEEPERS: Final = frozenset({"subprocess.run", "subprocess.Popen"})
_OUTCOMES: Final = frozenset(
    {"check_returncode", "communicate", "kill", "pid", "poll", "returncode", "send_signal"}
    | {"stderr", "stdin", "stdout", "terminate", "wait"}
)
"""Attributes of a process or its result that do not reveal its arguments."""


class Commands:
    """The processes that one module starts with `subprocess`."""

    def __init__(self, scopes: Scopes, replacer: Callable[[str, ast.AST], str]) -> None:
        """`replacer` tells which file replaces or catches something while a node runs."""
        self._scopes = scopes
        self._replacer = replacer

    def of(self, node: ast.List | ast.Tuple) -> str:
        """The function of `subprocess` that gets `node` as (part of) its argument list; else ""."""
        inner: ast.AST = node
        parent = self._scopes.parents[node]
        while isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Add):
            inner, parent = parent, self._scopes.parents[parent]
        if isinstance(parent, ast.keyword):
            call = self._scopes.parents[parent]
            is_first = parent.arg == "args"
        else:
            call = parent
            is_first = isinstance(call, ast.Call) and bool(call.args) and call.args[0] is inner
        meaning = self._scopes.meaning(call.func).dotted if isinstance(call, ast.Call) else ""
        return meaning if is_first and meaning in RUN else ""

    def shown(self, command: str, arguments: ast.AST) -> str:
        """How the arguments of a process may be shown or read; "" if they cannot be."""
        call = next(one for one in self._scopes.above(arguments) if isinstance(one, ast.Call))
        if command in _KEEPERS and not self._is_only_asked(call):
            return "is kept with its result"
        if self._shown_command:
            return self._shown_command
        where = self._replacer(swaps.ERRORS, arguments)
        return f"may be shown with an error that {where} catches" if where else ""

    def _is_only_asked(self, node: ast.expr) -> bool:
        """Whether the code uses nothing of a process but its outcome."""
        parent = self._scopes.parents[node]
        match parent:
            case ast.Expr():
                return True
            case ast.Attribute():
                return _is_asked(parent)
            case ast.withitem(optional_vars=None):
                return True
            case (
                ast.Assign(targets=[ast.Name() as name])
                | ast.withitem(optional_vars=ast.Name() as name)
            ):
                home = self._scopes.find(name.id, self._scopes.scope_of(name))
                uses = self._scopes.uses(home, name.id) if home is not None else []
                return all(_is_asked(self._scopes.parents[use]) for use in uses)
        return False

    @cached_property
    def _shown_command(self) -> str:
        """How the code may show or read the command of a failed process; "" if it does not."""
        for handler in self._scopes.nodes(ast.ExceptHandler):
            caught = handler.type
            names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
            if handler.name and any(name is not None and last(name) in _SHOWING for name in names):
                return f"may be shown with the error that line {handler.lineno} catches"
        for node in self._scopes.nodes(ast.Attribute):
            if node.attr in ("cmd", "args"):
                return f"may be read by `{ast.unparse(node)}` on line {node.lineno}"
        return ""


def _is_asked(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in _OUTCOMES
