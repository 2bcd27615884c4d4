"""Recognises definitions of the helper `get_temp_dir`, which was copied from script to script."""

from __future__ import annotations

import ast
from typing import Final, NamedTuple

from ..core.layouts import check_label
from ..errors import InvalidName
from .scopes import Binding, Scope, Scopes

NAME: Final = "get_temp_dir"
OURS: Final = frozenset({"common.temp.get_temp_dir", "common.temp.legacy.get_temp_dir"})
"""The package's own functions with the helper's name."""


class Helper(NamedTuple):
    """A definition of the legacy helper: its parameter, the literal default if any, and whether
    it is already a shim that delegates to `common.temp`.
    """

    parameter: str
    default: str | None
    is_shim: bool = False


PACKAGED: Final = Helper("name_prefix", "temp", True)


def read_helper(node: ast.AST, scopes: Scopes) -> Helper | None:
    """The legacy helper that `node` defines; `None` if it defines something else.

    The legacy helper is a plain function of one argument that makes `Path(".tmp")` and a directory
    `<argument>_<epoch>` in it, and returns that directory.
    """
    if not isinstance(node, ast.FunctionDef) or node.decorator_list:
        return None
    arguments = node.args
    parameters = [*arguments.posonlyargs, *arguments.args]
    if len(parameters) != 1 or arguments.kwonlyargs or arguments.vararg or arguments.kwarg:
        return None
    default = None
    if arguments.defaults:
        given = arguments.defaults[0]
        if isinstance(given, ast.Constant) and isinstance(given.value, str):
            default = given.value
    parameter = parameters[0].arg
    body = _without_docstring(node.body)
    if _is_shim(body, parameter, scopes):
        return Helper(parameter, default, True)
    if _Body(scopes, parameter).is_legacy(body):
        return Helper(parameter, default)
    return None


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body


def _is_shim(body: list[ast.stmt], parameter: str, scopes: Scopes) -> bool:
    match body:
        case [ast.Return(value=ast.Call(func=func, args=[ast.Name(id=name)], keywords=[]))]:
            return name == parameter and scopes.meaning(func).dotted in OURS
    return False


class _Body:
    """Evaluates a definition with the few values that the legacy helper uses."""

    def __init__(self, scopes: Scopes, parameter: str) -> None:
        self._scopes = scopes
        self._parameter = parameter
        self._values: dict[str, str] = {}
        self._made: set[str] = set()

    def is_legacy(self, body: list[ast.stmt]) -> bool:
        """Whether `body` makes the base, makes the directory in it, and returns that directory."""
        if not body:
            return False
        for statement in body[:-1]:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    if name in self._values or not (said := self._value(value)):
                        return False
                    self._values[name] = said
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    if name in self._values or not (said := self._value(value)):
                        return False
                    self._values[name] = said
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=made, attr="mkdir")) as call):
                    if (said := self._value(made)) not in ("base", "entry") or not _plain(call):
                        return False
                    self._made.add(said)
                case _:
                    # Imports inside the function are resolved like all other imports.
                    if not isinstance(statement, (ast.Import, ast.ImportFrom)):
                        return False
        match body[-1]:
            case ast.Return(value=ast.expr() as value):
                return self._value(value) == "entry" and "entry" in self._made
        return False

    def _value(self, node: ast.expr) -> str:
        """What `node` is: "base", "entry", "name", "epoch" or "argument"; "" for anything else."""
        match node:
            case ast.Name(id=name) if name in self._values:
                return self._values[name]
            case ast.Name(id=name) if name == self._parameter:
                return "argument"
            case ast.Call(func=func, args=[ast.Constant(value=".tmp")], keywords=[]):
                return "base" if self._dotted(func) == "pathlib.Path" else ""
            case ast.Call(
                func=func, args=[ast.Call(func=inner, args=[], keywords=[])], keywords=[]
            ):
                whole = self._dotted(func) == "builtins.int" and self._dotted(inner) == "time.time"
                return "epoch" if whole else ""
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                inside = self._value(left) == "base" and self._value(right) == "name"
                return "entry" if inside else ""
            case ast.JoinedStr(
                values=[
                    ast.FormattedValue(value=label, conversion=-1, format_spec=None),
                    ast.Constant(value="_"),
                    ast.FormattedValue(value=stamp, conversion=-1, format_spec=None),
                ]
            ):
                said = self._value(label) == "argument" and self._value(stamp) == "epoch"
                return "name" if said else ""
        return ""

    def _dotted(self, node: ast.expr) -> str:
        return self._scopes.meaning(node).dotted


def _plain(call: ast.Call) -> bool:
    """Whether a `mkdir` has no argument that matters for a new directory."""
    return not call.args and all(
        keyword.arg in ("exist_ok", "parents") and isinstance(keyword.value, ast.Constant)
        for keyword in call.keywords
    )


def module_binding(scopes: Scopes) -> Binding | None:
    """The only binding of the helper's name in the module; `None` if there is none or several."""
    bindings = scopes.module.bindings.get(NAME, [])
    return bindings[0] if len(bindings) == 1 else None


def local_helper(binding: Binding | None, module: Scope, scopes: Scopes) -> Helper | None:
    """The helper that `binding` defines at the top of its module."""
    if binding is None or binding.scope is not module:
        return None
    return read_helper(binding.node, scopes)


def is_label(text: str) -> bool:
    """Whether `text` can be the label of an entry."""
    try:
        check_label(text)
    except InvalidName:
        return False
    return True


def may_name(label: ast.expr) -> bool:
    """Whether `label` can name a directory; true if it is known only at run time."""
    match label:
        case ast.Constant(value=value):
            return isinstance(value, str) and is_label(value)
        case ast.JoinedStr(values=values):
            texts = [part.value for part in values if isinstance(part, ast.Constant)]
            first = values[0].value if values and isinstance(values[0], ast.Constant) else "x"
            whole = "".join(str(text) for text in texts)
            return is_label("x" + whole) and not str(first).startswith(".")
        case _:
            return True


_NUMBERS: Final = frozenset(
    f"builtins.{name}" for name in ("enumerate", "float", "id", "int", "len", "range", "sum")
) | {"os.getpid", "os.getppid", "pathlib.Path", "random.randint", "time.time", "time.time_ns"}
"""Callables that never return a `str`, or whose results never begin with one (`enumerate`)."""


def is_no_text(label: ast.expr, scopes: Scopes) -> bool:
    """Whether the module shows that `label` is, or may be, something other than a `str`."""
    match label:
        case ast.Constant(value=value):
            return not isinstance(value, str)
        case ast.Call(func=func):
            return scopes.meaning(func).dotted in _NUMBERS
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return any(is_no_text(one, scopes) for one in elements)
        case ast.BinOp(left=left, right=right):
            return is_no_text(left, scopes) and is_no_text(right, scopes)
        case ast.Name(id=name):
            home = scopes.find(name, scopes.scope_of(label))
            bound = home.bindings[name] if home is not None else []
            return any(_is_bound_to_no_text(one.node, label, scopes) for one in bound)
    return False


def _is_bound_to_no_text(node: ast.AST, label: ast.Name, scopes: Scopes) -> bool:
    parent = scopes.parents.get(node)
    if isinstance(parent, ast.Tuple) and parent.elts[0] is node:
        parent = scopes.parents.get(parent)  # the first element of each tuple
    match parent:
        case ast.For(iter=value) | ast.comprehension(iter=value) | ast.Assign(value=value):
            return label not in ast.walk(value) and is_no_text(value, scopes)
        case ast.arguments():
            annotation = getattr(node, "annotation", None)
            return annotation is not None and "str" not in ast.unparse(annotation)
    return False
