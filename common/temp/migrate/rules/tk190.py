"""TK190: a suppression that is unused or has no rule or reason; `suppress` finds it."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from ..suppress import CODE
from . import NEVER, Rule

EXPLAIN = """
A suppression keeps a line as it is, and names the rule and the reason:

    work = tempfile.mkdtemp()  # tempkeep: keep TK104 the uploader deletes it

One that no longer suppresses anything is misleading, and so is one without a rule and a reason.
Both are reported, and neither is rewritten; the line is still kept.
"""


def find(module: Module) -> Iterator[Finding]:
    """Nothing: suppressions are checked after all other rules."""
    del module
    return iter(())


RULES = (Rule(CODE, "suppression that suppresses nothing", "", EXPLAIN, (NEVER,), find),)
