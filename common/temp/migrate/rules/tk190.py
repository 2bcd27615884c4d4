"""TK190: a suppression that is idle, or says too little; `suppress` finds it."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from ..suppress import CODE
from . import NEVER, Rule

EXPLAIN = """
A suppression keeps a line as it is; it says which rule, and why:

    work = tempfile.mkdtemp()  # tempkeep: keep TK104 the uploader deletes it

One that suppresses nothing any more misleads, and so does one that does not say which rule and why.
Both are reported, and neither is rewritten; the line is kept all the same.
"""


def find(module: Module) -> Iterator[Finding]:
    """Nothing: what is suppressed is known only after all other rules."""
    del module
    return iter(())


RULES = (Rule(CODE, "suppression that suppresses nothing", "", EXPLAIN, (NEVER,), find),)
