"""TK103: a function that hands out temporary directories."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from . import Rule
from .sites import made

CODE = "TK103"
EXPLAIN = """
A factory returns or yields what `tempfile` made, or hands it on, so what becomes of the directory
is decided elsewhere. By hand: let the callers enter `temp_working_dir()`, or let the factory return
that, and look at each caller, which gets a `Path`.
"""


def find(module: Module) -> Iterator[Finding]:
    """Each directory that is handed out."""
    for call, _, role in made(module):
        if role == "factory":
            yield module.finding(
                CODE,
                call,
                "a temporary directory that is handed out",
                "let the callers enter temp_working_dir(), and look at what they do with the str",
            )


RULES = (
    Rule(
        CODE,
        "function that hands out temporary directories",
        "",
        EXPLAIN,
        (b"TemporaryDirectory|mkdtemp",),
        find,
    ),
)
