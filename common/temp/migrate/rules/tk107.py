"""TK107: `tempfile.mktemp`, a name and nothing there."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from . import Rule

CODE = "TK107"
EXPLAIN = """
`mktemp` gives a name that somebody else may take before it is used; on a shared machine that is a
way to have another's file overwritten.

    path = tempfile.mktemp(".csv")
    export(path)
becomes, by hand
    with temp_working_dir("export") as work:
        export(work / "export.csv")

Never rewritten, since nobody can say from here what is made at that path, and for how long.
"""


def find(module: Module) -> Iterator[Finding]:
    """Each call of `mktemp`."""
    for call, meaning in module.calls:
        if meaning.dotted == "tempfile.mktemp" and not module.is_fallback(call):
            yield module.finding(
                CODE,
                call,
                "tempfile.mktemp() only gives a name, which others may take",
                "use a name of your own in temp_working_dir()",
            )


RULES = (Rule(CODE, "tempfile.mktemp", "", EXPLAIN, (b"mktemp",), find),)
