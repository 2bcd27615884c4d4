"""TK100: names whose meaning is not certain."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ..findings import Finding
from ..helpers import NAME
from ..module import Module
from . import Rule
from .tk001 import helper_uses

CODE = "TK100"
EXPLAIN = """
A name that is bound in two places, that may come from a star import, or that is never bound may not
mean what it seems to. Nothing is rewritten on a guess. By hand, import it once, by name, at the
top:

    try:
        from tempfile import TemporaryDirectory
    except ImportError:
        from backports.tempfile import TemporaryDirectory
becomes, by hand
    from tempfile import TemporaryDirectory

The next run then knows what it means.
"""
_TARGET = re.compile(r"\.(?:TemporaryDirectory|mkdtemp|mktemp|NamedTemporaryFile)$")
TARGETS = frozenset(
    f"tempfile.{name}" for name in ("TemporaryDirectory", "mkdtemp", "mktemp", "NamedTemporaryFile")
)


def find(module: Module) -> Iterator[Finding]:
    """Each use of a name that may or may not be from `tempfile` or the legacy helper."""
    for node, _, _, doubt in helper_uses(module):
        if doubt:
            yield module.finding(CODE, node, f"`{ast.unparse(node)}` {doubt}", ADVICE)
    for call, meaning in module.calls:
        if module.is_fallback(call) or meaning.dotted or meaning.why == "unbound":
            continue
        if not meaning.possible & TARGETS and not (
            meaning.why == "star" and any(_behind_star(module, one) for one in meaning.possible)
        ):
            continue
        yield module.finding(CODE, call, f"`{ast.unparse(call.func)}` {meaning.doubt}", ADVICE)
    yield from _by_text(module)
    yield from _handed_on(module)


def _handed_on(module: Module) -> Iterator[Finding]:
    """Each call of a `tempfile` function that is imported through another module of the tree."""
    for call, meaning in module.calls:
        name = meaning.dotted.rpartition(".")[2]
        if meaning.dotted in TARGETS or not (
            _TARGET.search(meaning.dotted) or name in module.tree.renamed
        ):
            continue
        for dotted, rest in _prefixes(meaning.dotted):
            real, where = module.tree.behind(module.path, dotted)
            if real and f"{real}{rest}" in TARGETS and not module.is_fallback(call):
                what = f"`{ast.unparse(call.func)}` is imported through {where}"
                advice = "import it from tempfile, where it is used"
                yield module.finding(CODE, call, what, advice)
                break


def _behind_star(module: Module, dotted: str) -> bool:
    """Whether a star import may bind `dotted` through a module of the tree."""
    for whole, rest in _prefixes(dotted):
        real, _ = module.tree.behind(module.path, whole)
        if real and f"{real}{rest}" in TARGETS:
            return True
    return False


def _prefixes(dotted: str) -> Iterator[tuple[str, str]]:
    """`a.b.c` as (`a.b.c`, ``) and (`a.b`, `.c`)."""
    yield dotted, ""
    base, _, name = dotted.rpartition(".")
    if "." in base:
        yield base, f".{name}"


def _by_text(module: Module) -> Iterator[Finding]:
    """Each use that names the function in a string, or takes it from an object that is known only
    at run time.
    """
    scopes = module.scopes
    for call, meaning in module.calls:
        match call.args:
            case [_, ast.Constant(value=str(name)), *_] if name in _NAMES:
                if meaning.dotted in _BY_NAME and not module.is_fallback(call):
                    what = f"`{ast.unparse(call)}` looks it up by name"
                    yield module.finding(CODE, call, what, ADVICE)
    for node in scopes.nodes(ast.Attribute):
        if node.attr not in _NAMES or not isinstance(node.ctx, ast.Load):
            continue
        if module.is_fallback(node) or not _is_unknown(module, node.value, node.attr):
            continue
        what = f"`{ast.unparse(node)}` is taken from an object known only at run time"
        yield module.finding(CODE, node, what, ADVICE)


def _is_unknown(module: Module, base: ast.expr, taken: str = "") -> bool:
    """Whether `base` is a module that is imported dynamically or held in a variable."""
    scopes = module.scopes
    match base:
        case ast.Call(func=func, args=[ast.Constant(), *_]):
            return scopes.meaning(func).dotted in _IMPORTERS
        case ast.Attribute(value=ast.Name(id="self" | "cls")):
            return taken == "TemporaryDirectory"  # the other names are often its own methods
        case ast.Name(id=name):
            binding = scopes.meaning(base).binding
            if binding is None or name in ("self", "cls"):
                return False
            statement = scopes.parents.get(binding.node)
            if not isinstance(statement, ast.Assign):
                return False
            value = statement.value
            if isinstance(value, ast.Call):
                return _is_unknown(module, value)
            meaning = scopes.meaning(value)
            return any(source.kind == "import" for source in meaning.sources)
    return False


_NAMES = frozenset({NAME, "TemporaryDirectory", "mkdtemp", "mktemp", "NamedTemporaryFile"})
_BY_NAME = frozenset({"builtins.getattr", "operator.methodcaller"})
_IMPORTERS = frozenset({"importlib.import_module", "builtins.__import__"})
ADVICE = "import it once, by name, at the top of the file"


RULES = (
    Rule(
        CODE,
        "name that may mean two things",
        "",
        EXPLAIN,
        (b"TemporaryDirectory|mkdtemp|mktemp|NamedTemporaryFile|" + NAME.encode(),),
        find,
    ),
)
