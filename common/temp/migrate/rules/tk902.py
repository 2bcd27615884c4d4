"""TK902: dependencies without the package, to which `undeclared` adds it."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from ..undeclared import CODE, EXPLAIN
from . import NEVER, Rule


def find(module: Module) -> Iterator[Finding]:
    """Nothing: dependencies are not declared in a Python file."""
    del module
    return iter(())


RULES = (Rule(CODE, "dependencies without tempkeep", "safe", EXPLAIN, (NEVER,), find),)
