"""TK100: names whose meaning is not certain."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..findings import Finding
from ..helpers import NAME
from ..module import Module
from . import Rule
from .tk001 import helper_uses

CODE = "TK100"
EXPLAIN = """
A name that is bound in two places, that may come from a star import, or that is bound nowhere may
not mean what it seems to. Nothing is rewritten on a guess. By hand, import it once, by name, at the
top:

    try:
        from tempfile import TemporaryDirectory
    except ImportError:
        from backports.tempfile import TemporaryDirectory
becomes, by hand
    from tempfile import TemporaryDirectory

The next run then knows what it means.
"""
TARGETS = frozenset(
    f"tempfile.{name}" for name in ("TemporaryDirectory", "mkdtemp", "mktemp", "NamedTemporaryFile")
)


def find(module: Module) -> Iterator[Finding]:
    """Each use of a name that may, or may not, be from `tempfile` or the legacy helper."""
    for node, _, _, doubt in helper_uses(module):
        if doubt:
            yield module.finding(CODE, node, f"`{ast.unparse(node)}` {doubt}", ADVICE)
    for call, meaning in module.calls:
        if module.is_fallback(call) or meaning.dotted or not meaning.possible & TARGETS:
            continue
        if meaning.why == "unbound":
            continue
        yield module.finding(CODE, call, f"`{ast.unparse(call.func)}` {meaning.doubt}", ADVICE)


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
