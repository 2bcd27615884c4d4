"""TK108: a star import of `tempfile`."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from . import Rule

CODE = "TK108"
EXPLAIN = """
After a star import nobody can say what a name means without running the code.

    from tempfile import *
becomes, by hand
    from tempfile import TemporaryDirectory, mkdtemp

Never rewritten, since other modules may take names from this one that it got so. Once the names are
imported, the other rules see them.
"""


def find(module: Module) -> Iterator[Finding]:
    """Each star import of `tempfile`."""
    for star in module.scopes.stars:
        if star.module == "tempfile" and not star.level and not module.is_fallback(star):
            yield module.finding(
                CODE,
                star,
                "a star import of tempfile hides what its names mean",
                "import the names that are used",
            )


RULES = (Rule(CODE, "star import", "", EXPLAIN, (b"tempfile", b"*"), find),)
