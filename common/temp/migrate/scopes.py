"""Resolves what a name refers to: an import, parameter, local variable, builtin, or unknown."""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

from .stars import brought, is_unknown_star

Kind: TypeAlias = Literal["import", "function", "class", "parameter", "value"]
ScopeKind: TypeAlias = Literal["module", "class", "function", "comprehension"]

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_BUILTINS: Final = frozenset(dir(builtins))

_OPENERS: Final = frozenset({*_FUNCTIONS, *_COMPREHENSIONS, ast.ClassDef})
_LEAVES: Final = frozenset({ast.Name, ast.Constant, ast.Pass, ast.Break, ast.Continue})
_BINDERS: Final = frozenset(
    {
        *(ast.Import, ast.ImportFrom, ast.arg, ast.ExceptHandler, ast.Global, ast.Nonlocal),
        *(ast.MatchAs, ast.MatchStar, ast.MatchMapping, ast.Call),
    }
)
"""Nodes that bind a name or declare its scope, other than names and nodes that open a scope."""

_Node = TypeVar("_Node", bound=ast.AST)


class Binding(NamedTuple):
    """One place that binds a name.

    `dotted` is the name of what an import binds (`tempfile.mkdtemp`; a relative import begins with
    dots).
    """

    name: str
    kind: Kind
    node: ast.AST
    scope: Scope
    dotted: str = ""
    alias: ast.alias | None = None


class Scope:
    """A module, class, function or comprehension, and what it binds."""

    def __init__(self, kind: ScopeKind, node: ast.AST, parent: Scope | None) -> None:
        self.kind = kind
        self.node = node
        self.parent = parent
        self.bindings: dict[str, list[Binding]] = defaultdict(list)
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()
        self.children: list[Scope] = []
        self.is_dynamic = False
        """Whether the scope calls `locals`, `eval` or similar, which may use any name."""

    @property
    def module(self) -> Scope:
        """The outermost scope."""
        return self if self.parent is None else self.parent.module


class Meaning(NamedTuple):
    """What an expression refers to.

    Either `dotted` (an import or a builtin) or `binding` (anything else). If that is not certain,
    both are empty and `possible` lists every import that it may be.
    """

    dotted: str = ""
    binding: Binding | None = None
    possible: frozenset[str] = frozenset()
    why: Literal["", "ambiguous", "star", "unbound", "expression"] = ""
    sources: tuple[Binding, ...] = ()

    @property
    def doubt(self) -> str:
        """Why the meaning is not certain, as a message."""
        if self.why == "star":
            return "may come from a star import"
        if self.why == "ambiguous":
            lines = sorted({getattr(one.node, "lineno", 0) for one in self.sources})
            return f"has {len(lines)} possible meanings (lines {', '.join(map(str, lines))})"
        return "is never bound"


class Scopes:
    """The scopes of one module, the parent of every node, and every use of each name."""

    def __init__(self, tree: ast.Module) -> None:
        self.parents: dict[ast.AST, ast.AST] = {}
        self.module = Scope("module", tree, None)
        self.stars: list[ast.ImportFrom] = []
        self._scopes: dict[ast.AST, Scope] = {tree: self.module}
        self._home: dict[ast.AST, Scope] = {}
        self._nodes: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        self._sorted: dict[type[ast.AST], list[Any]] = {}
        self._meanings: dict[tuple[int, str], Meaning] = {}
        self._uses: dict[tuple[int, str], list[ast.Name]] | None = None
        self._build(tree)

    # -- building ---------------------------------------------------------------------------------

    def _build(self, tree: ast.Module) -> None:
        home, parents, nodes = self._home, self.parents, self._nodes
        waiting: list[tuple[ast.AST, Scope]] = [(tree, self.module)]
        late: list[Binding] = []
        while waiting:
            node, scope = waiting.pop()
            kind = type(node)
            home[node] = scope
            nodes[kind].append(node)
            if kind in _LEAVES:
                if kind is ast.Name and not isinstance(node.ctx, ast.Load):  # type: ignore[attr-defined]
                    late.extend(self._bound_by(node, scope, scope))
                continue
            if kind in _OPENERS:
                inner = self._inner_scope(node, scope)
                for child, parent, where in self._children(node, scope, inner):
                    parents[child] = parent
                    waiting.append((child, where))
                late.extend(self._bound_by(node, scope, inner))
                continue
            for child in _plain_children(node):
                parents[child] = node
                waiting.append((child, scope))
            if kind in _BINDERS:
                late.extend(self._bound_by(node, scope, scope))
        # A `global` can come anywhere in its function, so bindings are resolved only now.
        for binding in late:
            where = self._binding_scope(binding.name, binding.scope)
            where.bindings[binding.name].append(binding._replace(scope=where))
        for found in self._scopes.values():
            for bindings in found.bindings.values():
                bindings.sort(key=lambda binding: _position(binding.node))

    def _inner_scope(self, node: ast.AST, scope: Scope) -> Scope:
        kind: ScopeKind = "comprehension"
        if isinstance(node, _FUNCTIONS):
            kind = "function"
        elif isinstance(node, ast.ClassDef):
            kind = "class"
        self._scopes[node] = Scope(kind, node, scope)
        scope.children.append(self._scopes[node])
        return self._scopes[node]

    def _children(
        self, node: ast.AST, scope: Scope, inner: Scope
    ) -> Iterator[tuple[ast.AST, ast.AST, Scope]]:
        """The children of a node that opens a scope, each with its parent and its scope."""
        outside: set[int] = set()
        if isinstance(node, _COMPREHENSIONS):
            for index, generator in enumerate(node.generators):
                self.parents[generator] = node
                self._home[generator] = inner
                for child in _plain_children(generator):
                    first = index == 0 and child is generator.iter
                    yield child, generator, scope if first else inner
        elif isinstance(node, _FUNCTIONS):
            outside = {id(default) for default in (*node.args.defaults, *node.args.kw_defaults)}
            if not isinstance(node, ast.Lambda):
                outside |= {id(decorator) for decorator in node.decorator_list}
                outside.add(id(node.returns))
            self.parents[node.args] = node
            for child in _plain_children(node.args):
                yield child, node.args, scope if id(child) in outside else inner
        elif isinstance(node, ast.ClassDef):
            outside = {id(part) for part in (*node.bases, *node.keywords, *node.decorator_list)}
        for child in _plain_children(node):
            if not isinstance(child, (ast.comprehension, ast.arguments)):
                yield child, node, scope if id(child) in outside else inner

    def _bound_by(self, node: ast.AST, scope: Scope, inner: Scope) -> Iterator[Binding]:
        match node:
            case ast.Import():
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    dotted = alias.name if alias.asname else name
                    yield Binding(name, "import", node, scope, dotted, alias)
            case ast.ImportFrom():
                module = "." * node.level + (node.module or "")
                for alias in node.names:
                    if alias.name == "*":
                        self.stars.append(node)
                        continue
                    joint = "" if module.endswith(".") or not module else "."
                    dotted = f"{module}{joint}{alias.name}"
                    yield Binding(alias.asname or alias.name, "import", node, scope, dotted, alias)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield Binding(node.name, "function", node, scope)
            case ast.ClassDef():
                yield Binding(node.name, "class", node, scope)
            case ast.arg():
                yield Binding(node.arg, "parameter", node, scope)
            case ast.Name(ctx=ast.Store() | ast.Del()):
                home = scope
                if isinstance(self.parents.get(node), ast.NamedExpr):
                    while home.kind == "comprehension" and home.parent is not None:
                        home = home.parent
                yield Binding(node.id, "value", node, home)
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
                | ast.MatchMapping(rest=str(name))
            ):
                yield Binding(name, "value", node, scope)
            case ast.Global():
                scope.globals |= set(node.names)
            case ast.Nonlocal():
                scope.nonlocals |= set(node.names)
            case (
                ast.Call(func=ast.Name(id="locals" | "eval" | "exec"))
                | ast.Call(func=ast.Name(id="vars"), args=[])
            ):
                scope.is_dynamic = True
            case ast.Call(func=ast.Name(id="globals")):
                self.module.is_dynamic = True
            case _:
                pass
        for parameter in getattr(node, "type_params", ()):
            yield Binding(parameter.name, "value", parameter, inner)

    def _binding_scope(self, name: str, scope: Scope) -> Scope:
        if name in scope.globals:
            return self.module
        if name in scope.nonlocals:
            above = scope.parent
            while above is not None:
                if above.kind == "function" and name not in above.nonlocals:
                    return above
                above = above.parent
        return scope

    # -- asking -----------------------------------------------------------------------------------

    def nodes(self, kind: type[_Node]) -> list[_Node]:
        """All nodes of one type, in source order; not to be changed."""
        if kind not in self._sorted:
            self._sorted[kind] = sorted(self._nodes[kind], key=_position)
        return self._sorted[kind]

    def scope_of(self, node: ast.AST) -> Scope:
        """The scope in which `node` is evaluated."""
        return self._home[node]

    def inside(self, node: ast.AST) -> Scope:
        """The scope that the function, class or comprehension `node` opens."""
        return self._scopes[node]

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The ancestors of `node`, from its parent outward."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def statement(self, node: ast.AST) -> ast.stmt:
        """The innermost statement that contains `node`, or `node` itself."""
        found = node
        while not isinstance(found, ast.stmt):
            found = self.parents[found]
        return found

    def function(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The innermost function that contains `node`."""
        for above in self.above(node):
            if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef)):
                return above
        return None

    def find(self, name: str, scope: Scope) -> Scope | None:
        """The scope that binds `name`, as seen from `scope`; `None` if none does."""
        here: Scope | None = scope
        if name in scope.globals:
            here = scope.module
        while here is not None:
            skipped = here.kind == "class" and here is not scope
            if name in here.globals:
                here = here.module
            if not skipped and name in here.bindings:
                return here
            here = here.parent
        return None

    def meaning(self, node: ast.AST) -> Meaning:
        """What a name or a dotted name refers to."""
        if isinstance(node, ast.Name):
            return self.meaning_of(node.id, self.scope_of(node))
        if isinstance(node, ast.Attribute):
            base = self.meaning(node.value)
            if base.dotted:
                return base._replace(dotted=f"{base.dotted}.{node.attr}")
            if base.possible:
                longer = frozenset(f"{dotted}.{node.attr}" for dotted in base.possible)
                return base._replace(possible=longer)
            return Meaning(why=base.why or "expression")
        return Meaning(why="expression")

    def meaning_of(self, name: str, scope: Scope) -> Meaning:
        """What `name` refers to in `scope`."""
        home = self.find(name, scope)
        if home is None:
            if self.stars:
                return Meaning(possible=brought(name, self.stars), why="star")
            if name in _BUILTINS:
                return Meaning(dotted=f"builtins.{name}")
            return Meaning(possible=frozenset({name}), why="unbound")
        known = self._meanings.get((id(home), name))
        if known is None:
            known = self._meanings[id(home), name] = self._bound_in(home, name)
        return known

    def _bound_in(self, home: Scope, name: str) -> Meaning:
        """What `name` refers to, given that `home` binds it."""
        bindings = tuple(home.bindings[name])
        first = bindings[0]
        dotted = {binding.dotted for binding in bindings}
        if len(dotted) > 1 or (len(bindings) > 1 and dotted == {""}):
            possible = frozenset(filter(None, dotted))
            return Meaning(possible=possible, why="ambiguous", sources=bindings)
        if home is self.module and self.stars:
            bound_at = max(_position(binding.node) for binding in bindings)
            later = [
                star for star in self.stars if _position(star) > bound_at and is_unknown_star(star)
            ]
            if later:
                possible = brought(name, later) | dotted - {""}
                return Meaning(possible=possible, why="star", sources=bindings)
        if first.kind == "import":
            return Meaning(dotted=first.dotted, sources=bindings)
        return Meaning(binding=first, sources=bindings)

    def uses(self, scope: Scope, name: str) -> list[ast.Name]:
        """Every load of `name` that refers to the binding in `scope`, also in nested functions."""
        if self._uses is None:
            self._uses = defaultdict(list)
            for node in self.nodes(ast.Name):
                if isinstance(node.ctx, ast.Load):
                    home = self.find(node.id, self.scope_of(node))
                    if home is not None:
                        self._uses[id(home), node.id].append(node)
        return self._uses.get((id(scope), name), [])

    def within(self, scope: Scope) -> Iterator[Scope]:
        """`scope` and all scopes in it."""
        waiting = [scope]
        while waiting:
            found = waiting.pop()
            yield found
            waiting += found.children

    @cached_property
    def all_names(self) -> frozenset[str]:
        """Every name that some scope of the module binds."""
        return frozenset(name for scope in self.within(self.module) for name in scope.bindings)

    @cached_property
    def _places(self) -> dict[int, tuple[list[ast.stmt], int]]:
        found = {}
        for nodes in self._nodes.values():
            for node in nodes:
                for field in ("body", "orelse", "finalbody"):
                    block = getattr(node, field, None)
                    if isinstance(block, list):
                        for index, statement in enumerate(block):
                            found[id(statement)] = (block, index)
        return found

    def place(self, statement: ast.AST) -> tuple[list[ast.stmt], int] | None:
        """The block that contains a statement, and its index there; `None` for other nodes."""
        return self._places.get(id(statement))


def _plain_children(node: ast.AST) -> Iterator[ast.AST]:
    """The children of `node` without operators and contexts, which would be half of them."""
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            for item in value:
                if isinstance(item, ast.AST) and not isinstance(item, _MARKS):
                    yield item
        elif isinstance(value, ast.AST) and not isinstance(value, _MARKS):
            yield value


_MARKS: Final = (ast.expr_context, ast.operator, ast.cmpop, ast.boolop, ast.unaryop)


def _position(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)
