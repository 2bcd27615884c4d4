"""TK102: a temporary directory that is kept beyond the statement that makes it."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from . import Rule
from .sites import made

CODE = "TK102"
EXPLAIN = """
A directory in an attribute, a variable or an `ExitStack` ends at a time that the code alone
decides, often that of garbage collection. By hand, give it a `with` block, or enter the new one
where the old one was entered:

    self.work = stack.enter_context(tempfile.TemporaryDirectory())
becomes, by hand
    self.work = stack.enter_context(temp_working_dir("export"))

Never rewritten, since nobody can say from here who uses it and until when. What is kept is a `Path`
then, without `.name` and `.cleanup()`.
"""


def find(module: Module) -> Iterator[Finding]:
    """Each directory that is kept."""
    for call, _, role in made(module):
        if role == "kept":
            yield module.finding(
                CODE,
                call,
                "a temporary directory that is kept in a variable or an attribute",
                "give it a with block, or enter temp_working_dir() where this one ends",
            )


RULES = (
    Rule(
        CODE,
        "temporary directory that is kept",
        "",
        EXPLAIN,
        (b"TemporaryDirectory|mkdtemp",),
        find,
    ),
)
