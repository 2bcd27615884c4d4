"""TK900: a `.gitignore` that does not ignore scratch, which `ignored` finds."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..ignored import CODE, EXPLAIN
from ..module import Module
from . import NEVER, Rule


def find(module: Module) -> Iterator[Finding]:
    """Nothing: a `.gitignore` is not a Python file."""
    del module
    return iter(())


RULES = (Rule(CODE, ".gitignore that does not ignore scratch", "safe", EXPLAIN, (NEVER,), find),)
