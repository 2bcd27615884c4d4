"""Checks whether a use of a directory's path means the same for a `Path` as for a `str`."""

from __future__ import annotations

import ast
import string
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from . import swaps
from .beside import Beside
from .path_likes import (
    ANY_ARGUMENT,
    FIRST_ARGUMENT,
    NAMED,
    PATHS,
    RETURN_TARGET,
    RUN,
)
from .percent import is_percent, is_plain_percent
from .processes import Commands
from .scopes import Binding, Scope, Scopes

_LOG: Final = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
_ARCHIVES: Final = frozenset({"zipfile.ZipFile", "tarfile.open", "tarfile.TarFile"})
_LATER: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.GeneratorExp)
_CHARACTERS: Final = 50
_CALLBACKS: Final = frozenset({"filter", "onerror", "onexc"})
"""Keywords for callbacks that may get the path as passed."""


class _Bound(NamedTuple):
    """How a name is bound: whether all bindings are plain values, and an `+=` to it, if any."""

    values: bool
    added: Binding | None


class Uses:
    """Checks the uses of names in one module."""

    def __init__(
        self,
        scopes: Scopes,
        replacer: Callable[[str, ast.AST], str],
        *,
        is_imported: bool = False,
    ) -> None:
        """`replacer` tells which file replaces a function while a node runs; "" if none does.

        `is_imported` tells whether another file may import this module and use what it binds.
        """
        self._scopes = scopes
        self._is_imported = is_imported
        self._commands = Commands(scopes, replacer)
        self._replacer = replacer
        self._groups: dict[tuple[int, str], dict[ast.AST | None, list[ast.Name]]] = {}
        self._judged: dict[ast.expr, str] = {}
        self._beside = Beside(scopes)
        self._beyond: dict[ast.expr, str] = {}
        self._bound: dict[tuple[int, str], _Bound] = {}

    def unsafe(self, scope: Scope, name: str, statement: ast.stmt) -> str:
        """The first use of `name` that differs for a `Path`; "" if there is none.

        `name` is bound in `scope` by `statement`. Uses in another `with` that binds the same name
        are skipped, since they are checked with that one, and so are uses after
        `name = Path(name)`.
        """
        end = self._becomes_path(scope, name, statement)
        if name in scope.module.globals or self._is_global(scope, name):
            return f"`{name}` is global, so it may be used anywhere"
        if self._is_imported and scope.kind == "module" and not self._is_of_a_script(statement):
            return f"`{name}` is a name of this module, which other files may use"
        if scope.kind == "class":
            return f"`{name}` becomes an attribute of the class"
        for use in self._of(scope, name, statement):
            if self._is_after(use, end, statement):
                continue
            if use not in self._judged:
                self._judged[use] = self.judge(use)
            if why := self._judged[use]:
                return f"line {use.lineno}: {why}"
        if added := self._bindings(scope, name).added:
            line = getattr(added.node, "lineno", 0)
            return f"line {line}: `{self._text(added.node)} += …` adds text to it"
        if any(inner.is_dynamic for inner in self._scopes.within(scope)):
            return "`locals()`, `eval()` or similar may use it"
        return ""

    def _is_of_a_script(self, statement: ast.stmt) -> bool:
        """Whether `statement` only runs `if __name__ == "__main__"`."""
        for above in self._scopes.above(statement):
            match above:
                case ast.If(test=ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()])):
                    return True
        return False

    def beyond(self, scope: Scope, name: str, statement: ast.stmt) -> str:
        """The first use of `name` that depends on more than the content of the directory."""
        for use in self._of(scope, name, statement):
            if use not in self._beyond:
                self._beyond[use] = self._beside.look(use)
            if why := self._beyond[use]:
                return why
        return ""

    def _of(self, scope: Scope, name: str, statement: ast.stmt) -> Iterator[ast.Name]:
        """The uses of `name` that may refer to what `statement` binds."""
        groups = self._by_with(scope, name)
        # A name bound inside another `with` stays bound after it.
        for holder in (None, statement, *self._scopes.above(statement)):
            yield from groups.get(holder, ())

    def _bindings(self, scope: Scope, name: str) -> _Bound:
        """How `name` is bound in `scope`."""
        key = (id(scope), name)
        if key not in self._bound:
            bindings = scope.bindings[name]
            parents = self._scopes.parents
            added = (one for one in bindings if isinstance(parents.get(one.node), ast.AugAssign))
            values = all(binding.kind == "value" for binding in bindings)
            self._bound[key] = _Bound(values, next(added, None))
        return self._bound[key]

    def _by_with(self, scope: Scope, name: str) -> dict[ast.AST | None, list[ast.Name]]:
        """The uses of a name, grouped by the innermost enclosing `with` that binds it."""
        key = (id(scope), name)
        if key not in self._groups:
            groups: dict[ast.AST | None, list[ast.Name]] = {}
            for use in self._scopes.uses(scope, name):
                groups.setdefault(self._with_around(use, name), []).append(use)
            self._groups[key] = groups
        return self._groups[key]

    def _becomes_path(self, scope: Scope, name: str, statement: ast.stmt) -> ast.stmt | None:
        """The `name = Path(name)` in the block of `statement`, after which the name is a `Path`."""
        if not self._bindings(scope, name).values:
            return None
        for inner in getattr(statement, "body", ()):
            match inner:
                case ast.Assign(
                    targets=[ast.Name(id=target)],
                    value=ast.Call(func=func, args=[ast.Name(id=used)], keywords=[]),
                ) if target == used == name:
                    return inner if self._scopes.meaning(func).dotted in PATHS else None
        return None

    def _is_after(self, use: ast.Name, end: ast.stmt | None, block: ast.stmt) -> bool:
        if end is None:
            return False
        # Code before it in the block may fail, and code outside would then see the `str`.
        if block not in self._scopes.above(use) and end is not getattr(block, "body", [None])[0]:
            return False
        # Compare statements: before Python 3.12, parts of an f-string have no exact position.
        statement = self._scopes.statement(use)
        return (statement.lineno, statement.col_offset) > (end.lineno, end.col_offset)

    def _is_global(self, scope: Scope, name: str) -> bool:
        said: list[ast.Global | ast.Nonlocal] = [*self._scopes.nodes(ast.Global)]
        said += self._scopes.nodes(ast.Nonlocal)
        return any(
            name in node.names and self._scopes.find(name, self._scopes.scope_of(node)) is scope
            for node in said
        )

    def _with_around(self, use: ast.Name, name: str) -> ast.AST | None:
        """The innermost `with` around `use` that binds `name`; `None` if there is none, or if the
        use runs at some other time.
        """
        below: ast.AST = use
        for above in self._scopes.above(use):
            if isinstance(above, _LATER):
                return None  # the binding at that time is unknown
            if (
                isinstance(above, (ast.With, ast.AsyncWith))
                and not isinstance(below, ast.withitem)
                and any(_binds(item.optional_vars, name) for item in above.items)
            ):
                return above
            below = above
        return None

    def judge(self, node: ast.expr) -> str:
        """Why the value of `node` must not become a `Path` here; "" if it may."""
        parent = self._scopes.parents[node]
        match parent:
            case ast.Expr() | ast.If() | ast.While():
                return ""
            case ast.Assert() if parent.test is node:
                return ""
            case ast.FormattedValue():
                return self._formatted(parent)
            case ast.UnaryOp(op=ast.Not()):
                return ""
            case ast.BoolOp(op=ast.And()) if parent.values[-1] is not node:
                return ""  # a path is true, so the result is another operand
            case ast.BoolOp():
                return self.judge(parent)
            case ast.IfExp():
                return "" if parent.test is node else self.judge(parent)
            case ast.comprehension() if node in parent.ifs:
                return ""
            case ast.Compare():
                return self._compared(parent)
            case ast.BinOp(op=ast.Mod(), right=right) if right is node:
                return self._percent(parent, 0, 1)
            case ast.Tuple() if is_percent(self._scopes.parents[parent], parent):
                whole = self._scopes.parents[parent]
                assert isinstance(whole, ast.BinOp)
                return self._percent(whole, parent.elts.index(node), len(parent.elts))
            case ast.List() | ast.Tuple() if command := self._commands.of(parent):
                why = self._swapped(command, parent) or self._commands.shown(command, parent)
                return f"`{self._text(parent)}` {why}" if why else ""
            case ast.keyword():
                call = self._scopes.parents[parent]
                assert isinstance(call, ast.Call)
                return self._argument(call, None, parent.arg)
            case ast.Call() if parent.func is not node:
                return self._argument(parent, parent.args.index(node), None)
            case _:
                return f"`{self._text(parent)}` {_refusal(parent)}"

    def _formatted(self, node: ast.FormattedValue) -> str:
        if node.conversion not in (-1, ord("s")):
            return f"`{self._text(node.value)}` is shown by its repr in an f-string"
        if node.format_spec is not None:
            return f"`{self._text(node.value)}` has a format width in an f-string"
        return ""

    def _compared(self, node: ast.Compare) -> str:
        identity = all(isinstance(operator, (ast.Is, ast.IsNot)) for operator in node.ops)
        if identity and any(
            isinstance(side, ast.Constant) and side.value is None
            for side in (node.left, *node.comparators)
        ):
            return ""
        return f"`{self._text(node)}` compares it with text"

    def _percent(self, node: ast.BinOp, index: int, count: int) -> str:
        text = node.left.value if isinstance(node.left, ast.Constant) else None
        if isinstance(text, str) and is_plain_percent(text, index, count):
            return ""
        return f"`{self._text(node)}` formats it by more than a plain %s"

    def _swapped(self, dotted: str, node: ast.AST) -> str:
        """Why the function may be a replacement, which gets the argument; "" if it is not one."""
        where = self._replacer(dotted, node) if dotted else ""
        return f"goes to what {where} replaces {dotted} with" if where else ""

    def _argument(self, call: ast.Call, index: int | None, keyword: str | None) -> str:
        """Why the argument of `call` at `index` or named `keyword` must not become a `Path`."""
        meaning = self._scopes.meaning(call.func).dotted
        safe = False
        if any(isinstance(argument, ast.Starred) for argument in call.args[:index]):
            safe = meaning in ANY_ARGUMENT or _is_os_path(meaning)
        elif index is None and keyword is None:
            safe = False
        elif meaning in ANY_ARGUMENT or _is_os_path(meaning):
            safe = True
        elif meaning in FIRST_ARGUMENT:
            safe = (index == 0 or keyword == FIRST_ARGUMENT[meaning]) and not (
                meaning == "builtins.str" and len(call.args) + len(call.keywords) > 1
            )
        elif meaning == "builtins.print":
            safe = index is not None
        elif meaning in RETURN_TARGET:
            safe = index == 0 or keyword == "src" or self._is_discarded(call)
        elif meaning in RUN:
            safe = keyword == "cwd"
        elif meaning in NAMED:
            place, name = NAMED[meaning]
            safe = keyword == name or (index is not None and index == place)
        elif self._is_format(call):
            safe = self._formats_plainly(call, index, keyword)
        elif self._is_log(call, meaning):
            safe = index is not None and index > 0 and self._logs_plainly(call, index)
            if safe and (where := self._replacer(swaps.LOGGED, call)):
                return f"`{self._text(call)}` keeps it in a record, whose arguments {where} reads"
        elif isinstance(call.func, ast.Attribute) and call.func.attr in ("extract", "extractall"):
            place = {"extract": 1, "extractall": 0}[call.func.attr]
            safe = (index == place or keyword == "path") and self._is_archive(call.func.value)
        callbacks = {one.arg for one in call.keywords} & _CALLBACKS
        if callbacks or (meaning == "shutil.rmtree" and len(call.args) > 2):
            return f"`{self._text(call)}` may pass it to one of your functions"
        if safe:
            why = self._swapped(meaning, call)
            return f"`{self._text(call)}` {why}" if why else ""
        return f"`{self._text(call)}` {self._handed_on(meaning)}"

    def _handed_on(self, meaning: str) -> str:
        if meaning in ("builtins.isinstance", "builtins.repr", "builtins.len", "builtins.hash"):
            return "returns something else for a Path"
        if meaning:
            return "passes it on to something that may need a str"
        return "passes it on to code outside the standard library"

    def _is_discarded(self, call: ast.Call) -> bool:
        return isinstance(self._scopes.parents[call], ast.Expr)

    def _is_format(self, call: ast.Call) -> bool:
        return (
            isinstance(call.func, ast.Attribute)
            and call.func.attr == "format"
            and isinstance(call.func.value, ast.Constant)
            and isinstance(call.func.value.value, str)
        )

    def _formats_plainly(self, call: ast.Call, index: int | None, keyword: str | None) -> bool:
        assert isinstance(call.func, ast.Attribute)
        assert isinstance(call.func.value, ast.Constant)
        automatic = 0
        try:
            fields = list(string.Formatter().parse(str(call.func.value.value)))
        except ValueError:
            return False
        for _, field, spec, conversion in fields:
            if field is None:
                continue
            if "{" in (spec or ""):
                return False
            name = field
            if name == "":
                name, automatic = str(automatic), automatic + 1
            base = name.partition(".")[0].partition("[")[0]
            if base in (str(index), keyword) and (spec or conversion not in (None, "s")):
                return False
            if base in (str(index), keyword) and base != name:
                return False
        return True

    def _is_log(self, call: ast.Call, meaning: str) -> bool:
        if not isinstance(call.func, ast.Attribute) or call.func.attr not in _LOG:
            return False
        if meaning.startswith("logging."):
            return meaning.count(".") == 1
        return self._made_by(call.func.value, frozenset({"logging.getLogger"}))

    def _logs_plainly(self, call: ast.Call, index: int) -> bool:
        text = call.args[0].value if isinstance(call.args[0], ast.Constant) else None
        return isinstance(text, str) and is_plain_percent(text, index - 1, len(call.args) - 1)

    def _is_archive(self, node: ast.expr) -> bool:
        return self._made_by(node, _ARCHIVES)

    def _made_by(self, node: ast.expr, makers: frozenset[str]) -> bool:
        """Whether `node` is a name that is bound only once, to the result of one of `makers`."""
        if not isinstance(node, ast.Name):
            return False
        binding = self._scopes.meaning(node).binding
        if binding is None or binding.kind != "value":
            return False
        match self._scopes.parents.get(binding.node):
            case (
                ast.Assign(value=ast.Call() as made) | ast.withitem(context_expr=ast.Call() as made)
            ):
                return self._scopes.meaning(made.func).dotted in makers
        return False

    def _text(self, node: ast.AST) -> str:
        while not isinstance(node, (ast.expr, ast.stmt)):
            node = self._scopes.parents[node]
        # Not the source text, since parts of an f-string have no exact position before Python 3.12.
        text = ast.unparse(node).partition("\n")[0]
        return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…"


def _is_os_path(meaning: str) -> bool:
    """Whether it is a function of `os.path`; these return a `str` for a path-like object."""
    return meaning.startswith("os.path.") and meaning.count(".") == 2


def _refusal(parent: ast.AST) -> str:
    match parent:
        case ast.BinOp(op=ast.Add()):
            return "joins it as text"
        case ast.Subscript() | ast.Slice():
            return "takes a part of the text"
        case ast.Attribute():
            return "uses an attribute of str"
        case ast.Return():
            return "returns it"
        case ast.Yield() | ast.YieldFrom():
            return "yields it"
        case ast.Assign() | ast.AnnAssign() | ast.NamedExpr() | ast.List() | ast.Tuple():
            return "stores it"
        case ast.Dict() | ast.Set() | ast.arguments():
            return "stores it"
        case ast.For() | ast.comprehension() | ast.Starred():
            return "iterates over its characters"
        case _:
            return "needs a str"


def _binds(target: ast.expr | None, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name
