"""TK111: text that mentions scratch made by hand, which `texts` finds."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from ..texts import CODE, EXPLAIN
from . import NEVER, Rule


def find(module: Module) -> Iterator[Finding]:
    """Nothing: such text is not a Python file."""
    del module
    return iter(())


RULES = (Rule(CODE, "text about scratch made by hand", "", EXPLAIN, (NEVER,), find),)
