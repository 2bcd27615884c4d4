"""Star imports: which may bind any name, and what a name that they bind may be."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Final

_KNOWN_STARS: Final = frozenset({"common.temp", "common.temp.tasks"})
"""Modules whose star import binds only a few known names."""


def is_unknown_star(statement: ast.stmt) -> bool:
    """Whether `statement` is a star import that may bind any name."""
    if not isinstance(statement, ast.ImportFrom) or statement.names[0].name != "*":
        return False
    return bool(statement.level) or statement.module not in _KNOWN_STARS


def brought(name: str, stars: Iterable[ast.ImportFrom]) -> frozenset[str]:
    """The dotted names that `name` may refer to if one of `stars` binds it."""
    return frozenset(f"{'.' * star.level}{star.module or ''}.{name}" for star in stars)
