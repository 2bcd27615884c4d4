"""The places at which `tempfile` makes a directory, which several rules share."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

from ..module import Module
from ..scopes import Meaning

TEMPORARY_DIRECTORY: Final = "tempfile.TemporaryDirectory"


class WithSite(NamedTuple):
    """`with tempfile.TemporaryDirectory(…) as <target>:`, one item of it."""

    statement: ast.With
    item: ast.withitem
    call: ast.Call
    meaning: Meaning


def with_sites(module: Module) -> Iterator[WithSite]:
    """Every `with` over a `TemporaryDirectory` that is certainly that, outside of fallbacks."""
    scopes = module.scopes
    for statement in scopes.nodes(ast.With):
        for item in statement.items:
            call = item.context_expr
            if not isinstance(call, ast.Call):
                continue
            meaning = scopes.meaning(call.func)
            if meaning.dotted == TEMPORARY_DIRECTORY and not module.is_fallback(statement):
                yield WithSite(statement, item, call, meaning)
