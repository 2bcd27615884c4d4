"""TK109: a temporary directory in a fixture that lives longer than a test."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from . import Rule
from .sites import made

CODE = "TK109"
EXPLAIN = """
A fixture with the scope class, module or session shares one directory among tests, which may lean
on what another left in it. By hand: give each test its own, or keep the scope and use
`temp_working_dir` after a look at the tests.
"""


def find(module: Module) -> Iterator[Finding]:
    """Each directory of a wider fixture."""
    for call, _, role in made(module):
        if role == "wider":
            yield module.finding(
                CODE,
                call,
                "a temporary directory that several tests share",
                "use temp_working_dir() after a look at what the tests leave to each other",
            )


RULES = (
    Rule(
        CODE,
        "temporary directory for more than one test",
        "",
        EXPLAIN,
        (b"TemporaryDirectory|mkdtemp",),
        find,
    ),
)
