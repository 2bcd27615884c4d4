"""TK190: a suppression that is idle, or says too little; `suppress` finds it."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from ..suppress import CODE
from . import NEVER, Rule

EXPLAIN = """
`# tempkeep: keep TK004 the uploader needs it on its disk` keeps a line as it is, and says which
rule and why. One that suppresses nothing any more, or does not say what and why, misleads.
"""


def find(module: Module) -> Iterator[Finding]:
    """Nothing: what is suppressed is known only after all other rules."""
    del module
    return iter(())


RULES = (Rule(CODE, "suppression that suppresses nothing", "", EXPLAIN, (NEVER,), find),)
