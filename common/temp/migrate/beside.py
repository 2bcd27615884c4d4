"""Finds uses of a directory that depend on its name or parent, or give other users access to it."""

from __future__ import annotations

import ast
import re
from typing import Final

from .path_likes import PATHS, RUN
from .scopes import Scopes

_NAMES: Final = frozenset({"name", "stem", "suffix", "suffixes"})
_PLACES: Final = frozenset({"parent", "parents", "with_name", "with_stem", "with_suffix"})
_SAME: Final = frozenset({"absolute", "as_posix", "expanduser", "resolve", "__fspath__", "__str__"})
_SAME_PATH: Final = PATHS | {
    *("builtins.str", "os.fspath", "os.path.abspath", "os.path.expanduser", "os.path.join"),
    *("os.path.normpath", "os.path.realpath"),
}
_LOOKS: Final = frozenset(f"os.path.{name}" for name in ("basename", "dirname", "split"))
_GIVES: Final = frozenset({"os.chown", "os.lchown", "shutil.chown"})
_GIVERS: Final = frozenset({"chgrp", "chmod", "chown", "runuser", "setfacl", "su", "sudo"})
_ENDS: Final = re.compile(r"[\w.~-]")
"""Characters that change which path is meant if they directly follow it."""
_OF_OTHERS: Final = re.compile(r"(?:RWX|R|W|X)(?:G|O|GRP|OTH)$")

_NAME: Final = "has another name and another parent"
_BESIDE: Final = "is beside it"
_OTHERS: Final = "lets other users in, who cannot reach the new one"
_AFTER: Final = "joins it to another path, and the new one is absolute"
_WRITTEN: Final = "keeps the path as it is written, and the new one is absolute"
_STAMPED: Final = "reads the name, which may end differently"

_OF_RELATIVE: Final = frozenset(
    {"relative_to", "is_relative_to", "is_absolute", "parts", "parents", "anchor", "root"}
)
_SPLITS: Final = frozenset({"endswith", "removeprefix", "rpartition", "rsplit", "split"})
_LINKS: Final = frozenset({"os.symlink", "os.link"})
_KEEPERS: Final = frozenset({"add", "link_to", "symlink_to", "write"})
"""Methods that store the path passed to them, such as those of archives."""


class Beside:
    """Checks the uses of directories in one module.

    If the new directory `keeps_name`, only its parent differs, and other users may reach it; but
    its path was relative and is now absolute.
    """

    def __init__(self, scopes: Scopes, *, keeps_name: bool = False) -> None:
        self._scopes = scopes
        self._keeps_name = keeps_name
        self._told: dict[tuple[int, str, bool], str] = {}

    def look(self, node: ast.expr) -> str:
        """How the code reaches outside the directory whose path is `node`; "" if it does not."""
        parent = self._scopes.parents[node]
        why = ""
        if name := self._variable(node):
            return self._later(parent, name)
        if self._keeps_name and (why := self._as_relative(parent, node)):
            return self._said(parent, why)
        if self._keeps_name and (why := self._handed_on(parent, node)):
            return why
        match parent:
            case ast.Attribute():
                return self._attribute(parent)
            case ast.FormattedValue():
                whole = self._scopes.parents[parent]
                if isinstance(whole, ast.JoinedStr):
                    after = whole.values[whole.values.index(parent) + 1 :][:1]
                    if whole.values[0] is not parent or not after:
                        return ""
                    return self._said(whole, _BESIDE if _goes_on(after[0]) else "")
            case ast.BinOp(op=ast.Add(), left=left, right=right) if left is node:
                why = _BESIDE if _goes_on(right) else ""
            case ast.BinOp(op=ast.Div(), left=left, right=right) if left is node:
                if not _goes_up(right):
                    return self._child(parent)
                why = _BESIDE
            case ast.BinOp(op=ast.Mod(), left=ast.Constant(value=str(text))):
                why = _BESIDE if re.match(r"%s[\w.~-]", text) else ""
            case ast.Return() if self._keeps_name:
                return self._returned(parent)
            case ast.List() | ast.Tuple():
                why = _OTHERS if self._is_for_others(parent) else ""
            case ast.Call() if node in parent.args:
                return self._argument(parent, parent.args.index(node))
        return self._said(parent, why)

    def _as_relative(self, parent: ast.AST, node: ast.expr) -> str:
        """What `parent` does with a relative path that differs for an absolute one."""
        if self._is_absolute(node):
            return ""
        match parent:
            case ast.Attribute(attr=name):
                if name in _OF_RELATIVE or self._is_text(node):
                    return _WRITTEN
                above = self._scopes.parents[parent]
                if name in _NAMES and isinstance(above, ast.Attribute) and above.attr in _SPLITS:
                    return _STAMPED
            case ast.FormattedValue():
                whole = self._scopes.parents[parent]
                if isinstance(whole, ast.JoinedStr):
                    before = whole.values[: whole.values.index(parent)]
                    return _AFTER if before and _is_joint(before[-1]) else ""
            case ast.BinOp(op=ast.Div(), right=right) if right is node:
                return _AFTER
            case ast.BinOp(op=ast.Add(), left=left, right=right) if right is node:
                return _AFTER if _is_joint(left) or not isinstance(left, ast.Constant) else ""
            case ast.Compare(ops=operators):
                plain = (ast.Is, ast.IsNot, ast.NotEq)
                return "" if all(isinstance(one, plain) for one in operators) else _WRITTEN
            case ast.Subscript():
                return _WRITTEN
            case ast.Call(func=func, args=[first, *others]):
                called = self._scopes.meaning(func).dotted
                is_join = called in _SAME_PATH or (
                    isinstance(func, ast.Attribute) and func.attr in ("joinpath", "join")
                )
                if node in others and is_join:
                    return _AFTER
                if first is not node:
                    return ""
                method = func.attr if isinstance(func, ast.Attribute) else ""
                is_stored = method in _KEEPERS and not (others or parent.keywords)
                if method == "joinpath" or is_stored or called in _LINKS | {"builtins.len"}:
                    return _WRITTEN
        return ""

    def _is_absolute(self, node: ast.expr) -> bool:
        match node:
            case ast.Call(func=ast.Attribute(attr="absolute" | "resolve")):
                return True
            case ast.Call(func=func):
                return self._scopes.meaning(func).dotted in ("os.path.abspath", "os.path.realpath")
        return False

    def _is_text(self, node: ast.expr) -> bool:
        """Whether `node` converts the path to a `str`."""
        match node:
            case ast.Call(func=ast.Attribute(attr="as_posix" | "__str__" | "__fspath__")):
                return True
            case ast.Call(func=func):
                return self._scopes.meaning(func).dotted in ("builtins.str", "os.fspath")
        return False

    def _attribute(self, node: ast.Attribute) -> str:
        call, name = self._scopes.parents[node], node.attr
        if name in _PLACES or (name in _NAMES and not self._keeps_name):
            return self._said(node, _NAME)
        if name == "parts" and not self._keeps_name and isinstance(call, (ast.Call, ast.Subscript)):
            return self._said(call, _NAME)
        if not isinstance(call, ast.Call) or call.func is not node:
            return ""
        if name in _SAME:
            return self.look(call)
        if name == "joinpath" and any(map(_goes_up, call.args)):
            return self._said(call, _BESIDE)
        if name == "chmod" and _is_open(call.args[:1]):
            return self._said(call, _OTHERS)
        return ""

    def _child(self, node: ast.expr) -> str:
        """Like `look`, for a path in the directory, from which the code may go back up to it."""
        parent = self._scopes.parents[node]
        is_name = isinstance(parent, ast.Attribute) and parent.attr in _NAMES
        if self._keeps_name and not is_name and (why := self._as_relative(parent, node)):
            return self._said(parent, why)
        if isinstance(parent, ast.Attribute) and parent.attr == "parent":
            return self.look(parent)
        if isinstance(parent, ast.Attribute) and parent.attr == "parents":
            return self._said(parent, _NAME)
        if isinstance(parent, ast.Call) and node in parent.args[:1]:
            called = self._scopes.meaning(parent.func).dotted
            if called == "os.path.dirname":
                return self.look(parent)
            if called in _SAME_PATH and len(parent.args) == 1:
                return self._child(parent)
        name = self._variable(node)
        return self._later(parent, name, is_child=True) if name else ""

    def _variable(self, node: ast.expr) -> str:
        """The variable that `node` is assigned to; "" if there is none."""
        parent = self._scopes.parents[node]
        match parent:
            case (
                ast.Assign(targets=[ast.Name(id=name)])
                | ast.AnnAssign(target=ast.Name(id=name))
                | ast.NamedExpr(target=ast.Name(id=name))
            ):
                return name
            case ast.Tuple(elts=values):
                match self._scopes.parents[parent]:
                    case ast.Assign(targets=[ast.Tuple(elts=targets)]):
                        if len(targets) == len(values):
                            target = targets[values.index(node)]
                            return target.id if isinstance(target, ast.Name) else ""
        return ""

    def _argument(self, call: ast.Call, index: int) -> str:
        called = self._scopes.meaning(call.func).dotted
        if called in _LOOKS or (called == "os.path.relpath" and index == 0):
            return self._said(call, _NAME)
        if called in _GIVES or (called == "os.chmod" and _is_open(call.args[1:2])):
            return self._said(call, _OTHERS)
        if called in _SAME_PATH and index == 0:
            if any(map(_goes_up, call.args[1:])):
                return self._said(call, _BESIDE)
            if len(call.args) == 1:
                return self.look(call)
            return self._child(call) if _is_one_name(call.args[1:]) else ""
        match call.func:
            case ast.Attribute(value=ast.Constant(value=str(text)), attr="format") if index == 0:
                return self._said(call, _BESIDE if re.match(r"\{0?\}[\w.~-]", text) else "")
        return ""

    def _later(self, statement: ast.AST, name: str, *, is_child: bool = False) -> str:
        """Like `look`, for the variable that now holds the path. Each is checked once."""
        home = self._scopes.find(name, self._scopes.scope_of(statement))
        key = (id(home), name, is_child)
        if home is not None and key not in self._told:
            self._told[key] = ""  # also ends the search where a variable leads to itself
            look = self._child if is_child else self.look
            found = (look(use) for use in self._scopes.uses(home, name))
            self._told[key] = next(filter(None, found), "")
        return self._told.get(key, "")

    def _handed_on(self, parent: ast.AST, node: ast.expr) -> str:
        """Like `look`, where this module stores the path in an attribute or passes it to one of its
        functions.
        """
        match parent:
            case ast.Assign(targets=[ast.Attribute(attr=name)]):
                key = (0, name, False)
                if key not in self._told:
                    self._told[key] = ""
                    named = self._scopes.nodes(ast.Attribute)
                    uses = (one for one in named if one.attr == name)
                    found = (self.look(one) for one in uses if isinstance(one.ctx, ast.Load))
                    self._told[key] = next(filter(None, found), "")
                return self._told[key]
            case ast.Call(func=ast.Name() as func, args=args) if node in args:
                binding = self._scopes.meaning(func).binding
                function = binding.node if binding is not None else None
                if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    names = [*function.args.posonlyargs, *function.args.args]
                    if args.index(node) < len(names):
                        inside = function.body[0]
                        return self._later(inside, names[args.index(node)].arg)
        return ""

    def _returned(self, statement: ast.Return) -> str:
        """Like `look`, for the calls in this module of the function that returns the path."""
        function = self._scopes.function(statement)
        home = self._scopes.scope_of(function) if function is not None else None
        if function is None or home is None:
            return ""
        key = (id(function), "", False)
        if key not in self._told:
            self._told[key] = ""
            uses = self._scopes.uses(home, function.name)
            calls = [self._scopes.parents[use] for use in uses]
            found = (self.look(call) for call in calls if isinstance(call, ast.Call))
            self._told[key] = next(filter(None, found), "")
        return self._told[key]

    def _is_for_others(self, listed: ast.List | ast.Tuple) -> bool:
        """Whether `listed` is a command that changes who can access the directory."""
        call = self._scopes.parents[listed]
        match listed.elts[0]:
            case ast.Constant(value=str(name)):
                is_run = isinstance(call, ast.Call) and listed in call.args[:1]
                return is_run and name in _GIVERS and self._is_run(call)
        return False

    def _is_run(self, call: ast.AST) -> bool:
        return isinstance(call, ast.Call) and self._scopes.meaning(call.func).dotted in RUN

    def _said(self, node: ast.AST, why: str) -> str:
        if not why or (why is _OTHERS and self._keeps_name):
            return ""
        while not isinstance(node, ast.expr):
            node = self._scopes.parents[node]
        text = ast.unparse(node).partition("\n")[0]
        return f"line {node.lineno}: `{text}` {why}"


def _goes_on(node: ast.expr) -> bool:
    """Whether appending `node` to a path gives a path beside it."""
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _ENDS.match(node.value) is not None
    )


def _is_joint(node: ast.expr) -> bool:
    """Whether prepending `node` to a path gives a path in another directory."""
    return isinstance(node, ast.Constant) and str(node.value).endswith("/")


def _is_one_name(nodes: list[ast.expr]) -> bool:
    match nodes:
        case [ast.Constant(value=str(text))]:
            return "/" not in text
    return False


def _goes_up(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=str(text)):
            return ".." in text.split("/") or text.startswith("..")
        case ast.Attribute(attr="pardir"):
            return True
    return False


def _is_open(mode: list[ast.expr]) -> bool:
    """Whether a mode is known to let other users in."""
    for node in ast.walk(mode[0]) if mode else ():
        match node:
            case ast.Constant(value=int(bits)) if bits & 0o077 == 0:
                continue
            case ast.Attribute(attr=name) if not _OF_OTHERS.search(name):
                continue
            case ast.Constant() | ast.Attribute() | ast.Call():
                return True
    return False
