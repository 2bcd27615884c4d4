"""Finds code that runs only where an import failed, mostly one of the package."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Final, TypeAlias

from .scopes import Scopes

NAMES: Final = ("common.temp", "tempkeep")
"""The names under which the package is imported."""

_IMPORT_ERRORS: Final = frozenset({"ImportError", "ModuleNotFoundError"})
_BROADER: Final = frozenset({"Exception", "BaseException"})
_ASKERS: Final = frozenset({"find_spec", "find_loader", "import_module", "__import__"})
_TESTS: Final = frozenset({"find_spec", "find_loader"})
_SKIPPERS: Final = frozenset({"importorskip"})
_ENDS: Final = (ast.Return, ast.Raise, ast.Continue, ast.Break)

Flags: TypeAlias = dict[str, bool]
"""Names that tell whether the package is installed, and their values if it is."""

Lookup: TypeAlias = Callable[[str], bool | None]
"""The value of a flag of another module (a dotted name); `None` if it is not a flag."""


class Guards:
    """How one module handles an import of the package that may fail."""

    def __init__(self, scopes: Scopes, lookup: Lookup | None = None) -> None:
        self._scopes = scopes
        self._lookup = lookup
        self._ends: dict[int, int] = {}

    def is_fallback(self, node: ast.AST) -> bool:
        """Whether `node` runs only after an import has failed."""
        below = node
        for above in self._scopes.above(node):
            if isinstance(above, ast.ExceptHandler):
                attempt = self._scopes.parents[above]
                assert isinstance(attempt, (ast.Try, ast.TryStar))
                if catches_imports(above, attempt):
                    return True
            if self._may_be_guarded and self._is_skipped(below, above):
                return True
            below = above
        return False

    @cached_property
    def first(self) -> ast.AST | None:
        """The first place that allows for a missing package; `None` if the module requires the
        package or does not use it.
        """
        found: list[ast.AST] = [*self._attempts]
        found += [
            call
            for call in self._scopes.nodes(ast.Call)
            if last(call.func) in _ASKERS | _SKIPPERS and _asks_for_it(call)
        ]
        named: list[ast.Name | ast.Attribute] = []
        if self._lookup is not None:
            named = [*self._scopes.nodes(ast.Name), *self._scopes.nodes(ast.Attribute)]
        found += [
            node
            for node in named
            if isinstance(node.ctx, ast.Load) and self._imported_flag(node) is not None
        ]
        return min(found, key=lambda node: getattr(node, "lineno", 0), default=None)

    @cached_property
    def is_certain(self) -> bool:
        """Whether the module imports the package unconditionally at its top level."""
        tree = self._scopes.module.node
        assert isinstance(tree, ast.Module)
        return any(imports_it(statement) for statement in tree.body)

    @cached_property
    def exported(self) -> Flags:
        """The flags at the top level, including functions without parameters that return one."""
        module = id(self._scopes.module)
        named = {name: worth for (home, name), worth in self._flags.items() if home == module}
        return named | self._functions

    @cached_property
    def stand_ins(self) -> tuple[str, ...]:
        """The modules that are imported where the package is missing."""
        found = set()
        nodes: list[ast.Import | ast.ImportFrom] = [*self._scopes.nodes(ast.Import)]
        for node in (*nodes, *self._scopes.nodes(ast.ImportFrom)):
            if not self.is_fallback(node) or not self._is_for_the_package(node):
                continue
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif node.module:
                found.add("." * node.level + node.module)
            else:
                found |= {"." * node.level + alias.name for alias in node.names}
        return tuple(sorted(found))

    # -- guards and flags -------------------------------------------------------------------------

    @cached_property
    def _may_be_guarded(self) -> bool:
        return self.first is not None

    @cached_property
    def _attempts(self) -> list[ast.Try | ast.TryStar | ast.With]:
        """The statements that try to import the package and go on without it."""
        found: list[ast.Try | ast.TryStar | ast.With] = []
        attempts: list[ast.Try | ast.TryStar] = [*self._scopes.nodes(ast.Try)]
        for attempt in (*attempts, *self._scopes.nodes(ast.TryStar)):
            catches = any(catches_imports(one, attempt) for one in attempt.handlers)
            if catches and _tries_it(attempt.body):
                found.append(attempt)
        for block in self._scopes.nodes(ast.With):
            suppresses = any(_suppresses(item.context_expr) for item in block.items)
            if suppresses and _tries_it(block.body):
                found.append(block)
        return found

    @cached_property
    def _flags(self) -> dict[tuple[int, str], bool]:
        """The flags, by the `id` of their scope and their name."""
        found: dict[tuple[int, str], bool] = {}
        for guard in self._attempts:
            scope = self._scopes.scope_of(guard)
            there = _values([*guard.body, *getattr(guard, "orelse", ())])
            failed = _values([s for one in getattr(guard, "handlers", ()) for s in one.body])
            for name in {*there, *failed}:
                bindings = [one.node for one in scope.bindings.get(name, ())]
                outside = [one for one in bindings if guard not in self._scopes.above(one)]
                earlier = [one for one in outside if _line(one) < guard.lineno]
                if outside != earlier:
                    continue  # bound again later, to something else
                before = self._constant(earlier[-1]) if earlier else None
                worth = there.get(name, before)
                other = failed.get(name, before)
                if worth is not None and other is not None and worth != other:
                    found[id(scope), name] = worth
        for statement in self._scopes.nodes(ast.Assign):
            match statement.targets:
                case [ast.Name(id=name)]:
                    scope = self._scopes.scope_of(statement)
                    asked = self._asked(statement.value)
                    if asked is not None and len(scope.bindings.get(name, ())) == 1:
                        found[id(scope), name] = asked
        return found

    @cached_property
    def _functions(self) -> Flags:
        """The functions that only tell whether the package is installed."""
        found = {}
        for guard in self._attempts:
            function = self._scopes.parents[guard]
            if not isinstance(function, ast.FunctionDef) or guard not in function.body:
                continue
            after = function.body[function.body.index(guard) + 1 :]
            there = _returned([*guard.body, *getattr(guard, "orelse", ()), *after])
            handlers = [s for one in getattr(guard, "handlers", ()) for s in one.body]
            failed = _returned([*handlers, *after])
            if there is not None and failed is not None and there != failed:
                found[function.name] = there
        for returned in self._scopes.nodes(ast.Return):
            function = self._scopes.parents[returned]
            if isinstance(function, ast.FunctionDef) and function.body[-1] is returned:
                asked = self._asked(returned.value)
                if asked is not None and len(_without_docstring(function.body)) == 1:
                    found[function.name] = asked
        return found

    def _constant(self, target: ast.AST) -> bool | None:
        statement = self._scopes.parents.get(target)
        if isinstance(statement, (ast.Assign, ast.AnnAssign)):
            return _worth(statement.value)
        return True if isinstance(target, (ast.FunctionDef, ast.ClassDef)) else None

    # -- conditions -------------------------------------------------------------------------------

    def _is_skipped(self, below: ast.AST, above: ast.AST) -> bool:
        """Whether `below`, a child of `above`, does not run where the package is installed."""
        if isinstance(above, (ast.If, ast.IfExp, ast.While)):
            worth = self._truth(above.test)
            if worth is not None and below is not above.test:
                body = above.body if isinstance(above.body, list) else [above.body]
                if worth != any(below is one for one in body):
                    return True
        if isinstance(above, ast.BoolOp):
            stops = isinstance(above.op, ast.Or)
            for value in above.values:
                if value is below:
                    break
                if self._truth(value) is stops:
                    return True
        place = self._scopes.place(below)
        return place is not None and self._left_at(place[0]) < place[1]

    def _left_at(self, block: list[ast.stmt]) -> int:
        """The index of the first statement that ends a block where the package is installed."""
        if id(block) not in self._ends:
            leaving = (index for index, one in enumerate(block) if self._leaves(one))
            self._ends[id(block)] = next(leaving, len(block))
        return self._ends[id(block)]

    def _leaves(self, statement: ast.stmt) -> bool:
        """Whether `statement` ends its block where the package is installed."""
        if not isinstance(statement, ast.If):
            return False
        worth = self._truth(statement.test)
        if worth is None:
            return False
        taken = statement.body if worth else statement.orelse
        return bool(taken) and isinstance(taken[-1], _ENDS)

    def _truth(self, node: ast.expr) -> bool | None:
        """The value of a condition where the package is installed; `None` if that is unknown."""
        match node:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self._truth(operand)
                return None if inner is None else not inner
            case ast.BoolOp(op=ast.And(), values=values):
                # Known if all parts are, or if one is false.
                known = [self._truth(value) for value in values]
                return False if False in known else None if None in known else True
            case ast.BoolOp(values=values):
                known = [self._truth(value) for value in values]
                return True if True in known else None if None in known else False
            case ast.Call(func=ast.Name(id="bool"), args=[inner]):
                return self._truth(inner)
            case ast.Call(func=ast.Name(id=name), args=[], keywords=[]) if name in self._functions:
                return self._functions[name]
            case ast.Call(func=func, args=[], keywords=[]):
                return self._asked(node) or self._imported_flag(func)
            case ast.Compare(left=left, ops=[operator], comparators=[ast.Constant(value=other)]):
                worth = self._asked(node)
                if worth is not None:
                    return worth
                inner = self._truth(left)
                if inner is None or other not in (None, True, False):
                    return None
                same = inner == bool(other)
                if isinstance(operator, (ast.Is, ast.Eq)):
                    return same if inner or other is not None else None
                return not same if isinstance(operator, (ast.IsNot, ast.NotEq)) else None
            case ast.Name(id=name):
                home = self._scopes.find(name, self._scopes.scope_of(node))
                known_flag = self._flags.get((id(home), name))
                return self._imported_flag(node) if known_flag is None else known_flag
            case ast.Attribute():
                return self._imported_flag(node)
        return self._asked(node)

    def _asked(self, node: ast.expr | None) -> bool | None:
        """The value of `find_spec("common.temp") is not None` or similar where it is installed."""
        match node:
            case ast.Call() if last(node.func) in _TESTS and _asks_for_it(node):
                return True
            case ast.Call(func=ast.Name(id="bool"), args=[inner]):
                return self._asked(inner)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner_worth = self._asked(operand)
                return None if inner_worth is None else not inner_worth
            case ast.Compare(
                left=left, ops=[ast.Is() | ast.IsNot()], comparators=[ast.Constant(value=None)]
            ) if self._asked(left):
                return isinstance(node.ops[0], ast.IsNot)
        return None

    def _imported_flag(self, node: ast.expr) -> bool | None:
        dotted = self._scopes.meaning(node).dotted
        return self._lookup(dotted) if self._lookup is not None and "." in dotted else None

    def _is_for_the_package(self, node: ast.AST) -> bool:
        """Whether `node` is in a branch of a guarded import of the package, or under a flag."""
        for above in self._scopes.above(node):
            if isinstance(above, ast.ExceptHandler):
                return self._scopes.parents[above] in self._attempts
        return True


# -- parts ----------------------------------------------------------------------------------------


def imports_it(node: ast.AST) -> bool:
    """Whether the statement imports the package or something from it."""
    match node:
        case ast.Import(names=names):
            return any(_is_it(alias.name) for alias in names)
        case ast.ImportFrom(module=str(module), level=0, names=names):
            return _is_it(module) or any(_is_it(f"{module}.{alias.name}") for alias in names)
    return False


def catches_imports(handler: ast.ExceptHandler, attempt: ast.Try | ast.TryStar) -> bool:
    """Whether the handler runs after a failed import."""
    caught = handler.type
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    if any(name is not None and last(name) in _IMPORT_ERRORS for name in names):
        return True
    # Handlers for other exceptions count too if the block contains an import.
    return any(isinstance(one, (ast.Import, ast.ImportFrom)) for one in attempt.body)


def last(node: ast.expr) -> str:
    """The last part of a dotted name; "" for anything else."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_it(dotted: str) -> bool:
    return any(dotted == name or dotted.startswith(f"{name}.") for name in NAMES)


def _asks_for_it(call: ast.Call) -> bool:
    match call.args:
        case [ast.Constant(value=str(dotted)), *_]:
            return _is_it(dotted) or dotted == "common"
    return False


def _tries_it(body: Sequence[ast.stmt]) -> bool:
    for node in _shallow(body):
        if imports_it(node):
            return True
        if isinstance(node, ast.Call) and last(node.func) in _ASKERS and _asks_for_it(node):
            return True
    return False


def _suppresses(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and last(node.func) == "suppress"
        and any(last(one) in _IMPORT_ERRORS | _BROADER for one in node.args)
    )


def _shallow(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of a block, without those inside functions and classes."""
    waiting: list[ast.AST] = [*reversed(body)]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            waiting.extend(reversed([*ast.iter_child_nodes(node)]))


def _values(body: Sequence[ast.stmt]) -> dict[str, bool | None]:
    """The values, after a block, of the names that it binds; `None` for an unknown value."""
    found: dict[str, bool | None] = {}
    for node in _shallow(body):
        match node:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {(one.asname or one.name.partition(".")[0]): True for one in names}
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = True
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    if isinstance(target, ast.Name):
                        found[target.id] = _worth(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=value):
                found[name] = _worth(value)
    return found


def _returned(body: Sequence[ast.stmt]) -> bool | None:
    for node in body:
        if isinstance(node, ast.Return):
            return _worth(node.value)
    return None


def _worth(node: ast.expr | None) -> bool | None:
    return bool(node.value) if isinstance(node, ast.Constant) else None


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)
