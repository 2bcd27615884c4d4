"""Finds where `tempfile` makes a directory; several rules use it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from ..module import Module
from ..scopes import Meaning

TEMPORARY_DIRECTORY: Final = "tempfile.TemporaryDirectory"
MKDTEMP: Final = "tempfile.mkdtemp"

Role: TypeAlias = Literal["with", "setup", "kept", "factory", "loose", "arguments", "wider", "gone"]

_SET_UPS: Final = frozenset(
    {
        *("setUp", "setUpClass", "asyncSetUp", "setUpModule", "setup", "setup_method"),
        *("setup_class", "setup_module", "setup_function"),
    }
)


class WithSite(NamedTuple):
    """One item of `with tempfile.TemporaryDirectory(…) as <target>:`."""

    statement: ast.With
    item: ast.withitem
    call: ast.Call
    meaning: Meaning


class Made(NamedTuple):
    """A call that makes a directory, and how the directory is used.

    - with: a plain `with`, for TK003 to TK005
    - setup: in a `setUp` or similar
    - kept: in an attribute or a variable, or given to an `ExitStack`
    - factory: returned, yielded, or passed on
    - loose: made by `mkdtemp`, in a variable
    - arguments: made with arguments that this package does not have
    - wider: in a fixture that lives longer than a test
    - gone: deleted at once, since only an attribute of the object is taken
    """

    call: ast.Call
    meaning: Meaning
    role: Role


def made(module: Module) -> Iterator[Made]:
    """Every call that certainly calls `TemporaryDirectory` or `mkdtemp`."""
    for call, meaning in module.calls:
        if meaning.dotted in (TEMPORARY_DIRECTORY, MKDTEMP) and not module.is_fallback(call):
            yield Made(call, meaning, _role(module, call, meaning))


def with_sites(module: Module) -> Iterator[WithSite]:
    """Every plain `with` over a `TemporaryDirectory`."""
    for call, meaning, role in made(module):
        item = module.scopes.parents[call]
        if role == "with" and isinstance(item, ast.withitem):
            statement = module.scopes.parents[item]
            if isinstance(statement, ast.With):
                yield WithSite(statement, item, call, meaning)


def literal_prefix(call: ast.Call) -> str | None:
    """The `prefix` of the call if it is the only argument and a literal."""
    if call.args or len(call.keywords) != 1 or call.keywords[0].arg != "prefix":
        return None
    value = call.keywords[0].value
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    return None


def fixture_scope(module: Module, function: ast.AST | None) -> str | None:
    """The scope of the pytest fixture `function`; `None` if it is not a fixture.

    A scope that is not a literal is "dynamic".
    """
    for decorator in getattr(function, "decorator_list", ()):
        call = decorator if isinstance(decorator, ast.Call) else None
        meaning = module.scopes.meaning(call.func if call else decorator).dotted
        if meaning in ("pytest.fixture", "pytest_asyncio.fixture", "pytest.yield_fixture"):
            for keyword in call.keywords if call else ():
                if keyword.arg == "scope":
                    value = keyword.value
                    return str(value.value) if isinstance(value, ast.Constant) else "dynamic"
            return "function"
    return None


def is_test_code(module: Module, node: ast.AST) -> bool:
    """Whether `node` is in a test or a fixture of a module that pytest collects."""
    if module.is_test:
        return True
    function = module.scopes.function(node)
    return fixture_scope(module, function) is not None


def _role(module: Module, call: ast.Call, meaning: Meaning) -> Role:
    scopes = module.scopes
    function = scopes.function(call)
    scope = fixture_scope(module, function)
    if function is not None and function.name in _SET_UPS:
        return "setup"
    if scope not in (None, "function"):
        return "wider"
    if (call.args or call.keywords) and literal_prefix(call) is None:
        return "arguments"
    parent: ast.AST = scopes.parents[call]
    if isinstance(parent, ast.withitem) and meaning.dotted == TEMPORARY_DIRECTORY:
        return "with"
    if isinstance(parent, ast.Attribute) and meaning.dotted == TEMPORARY_DIRECTORY:
        return "kept" if parent.attr == "__enter__" else "gone"
    if isinstance(parent, ast.Call) and _wraps(module, parent):
        parent = scopes.parents[parent]
    if isinstance(parent, (ast.Return, ast.Yield, ast.Lambda, ast.Call, ast.keyword)):
        entered = isinstance(parent, ast.Call) and _last(parent.func) == "enter_context"
        return "kept" if entered else "factory"
    if meaning.dotted == MKDTEMP:
        return "loose"
    return "kept"


def _wraps(module: Module, call: ast.Call) -> bool:
    """Whether `call` is `Path(mkdtemp())` or similar."""
    return module.scopes.meaning(call.func).dotted in (
        "pathlib.Path",
        "builtins.str",
        "os.path.realpath",
        "os.path.abspath",
    )


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


# -- children of a base ---------------------------------------------------------------------------


class Child(NamedTuple):
    """A directory in a base: its variable, its name, and whether the code makes it."""

    variable: str
    name: str
    is_made: bool


class Prologue(NamedTuple):
    """The statements at the start of a block that only name and make children of a base, and the
    variables that hold the base.
    """

    statements: tuple[ast.stmt, ...]
    children: tuple[Child, ...]
    bases: frozenset[str]


def prologue(module: Module, body: Sequence[ast.stmt], base: str, *, is_path: bool) -> Prologue:
    """The prologue of a block over the variable `base`, which is a `Path` or a `str`."""
    reader = _Reader(module, base, is_path)
    statements = []
    for statement in body:
        if not reader.take(statement):
            break
        statements.append(statement)
    children = tuple(
        Child(variable, name, variable in reader.made) for variable, name in reader.names.items()
    )
    return Prologue(tuple(statements), children, frozenset({base, *reader.bases}))


class _Reader:
    def __init__(self, module: Module, base: str, is_path: bool) -> None:
        self._module = module
        self._text = "" if is_path else base
        self.bases = {base} if is_path else set()
        self.names: dict[str, str] = {}
        self.made: set[str] = set()

    def take(self, statement: ast.stmt) -> bool:
        """Whether `statement` belongs to the prologue; if so, it is recorded."""
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                return self._name(name, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                return self._name(name, value)
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                if len(targets) != len(values):
                    return False
                pairs = [
                    (target.id, value)
                    for target, value in zip(targets, values, strict=True)
                    if isinstance(target, ast.Name) and self._child(value)
                ]
                if len(pairs) != len(targets):
                    return False
                return all(self._name(name, value) for name, value in pairs)
            case ast.Expr(
                value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="mkdir"))
            ):
                assert isinstance(statement, ast.Expr)
                if name not in self.names or name in self.made or not _plain(statement.value):
                    return False
                self.made.add(name)
                return True
        return False

    def _name(self, name: str, value: ast.expr) -> bool:
        if name in self.names or name in self.bases:
            return False
        if name == self._text and not self._is_base(value):
            return False
        if self._is_base(value):
            self.bases.add(name)
            return True
        child = self._child(value)
        if not child:
            return False
        self.names[name] = child
        return True

    def _is_base(self, node: ast.expr) -> bool:
        match node:
            case ast.Name(id=name):
                return name in self.bases
            case ast.Call(func=func, args=[ast.Name(id=name)], keywords=[]):
                known = name == self._text or name in self.bases
                return known and self._module.scopes.meaning(func).dotted == "pathlib.Path"
        return False

    def _child(self, node: ast.expr) -> str:
        """The name of the child of the base that `node` refers to; "" if it refers to none."""
        match node:
            case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant(value=str(name))):
                return name if self._is_base(left) else ""
            case ast.Call(
                func=ast.Attribute(value=base, attr="joinpath"),
                args=[ast.Constant(value=str(name))],
                keywords=[],
            ):
                return name if self._is_base(base) else ""
            case ast.Call(
                func=func, args=[ast.Name(id=base), ast.Constant(value=str(name))], keywords=[]
            ):
                known = base == self._text or base in self.bases
                path = self._module.scopes.meaning(func).dotted == "pathlib.Path"
                return name if known and path else ""
        return ""


def _plain(call: ast.expr) -> bool:
    """Whether a `mkdir` makes one directory and has no argument that matters."""
    return (
        isinstance(call, ast.Call)
        and not call.args
        and all(
            keyword.arg in ("exist_ok", "parents") and isinstance(keyword.value, ast.Constant)
            for keyword in call.keywords
        )
    )
