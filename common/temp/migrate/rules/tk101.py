"""TK101: a temporary directory that a `setUp` makes."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from . import Rule
from .sites import made

CODE = "TK101"
EXPLAIN = """
A directory that `setUp` makes and `tearDown` removes lives across methods, so no `with` can stand
in its place, and if `setUp` fails halfway nobody removes it. By hand:

    def setUp(self):
        self.work = tempfile.mkdtemp()

    def tearDown(self):
        shutil.rmtree(self.work)
becomes, by hand
    def setUp(self):
        self.work = self.enterContext(temp_working_dir("export"))

Never rewritten, since other methods and subclasses use what is kept, which is then a `Path`. In a
pytest class, make it a fixture.
"""


def find(module: Module) -> Iterator[Finding]:
    """Each directory that a set-up makes."""
    for call, _, role in made(module):
        if role == "setup":
            yield module.finding(
                CODE,
                call,
                "a temporary directory that lives from set-up to tear-down",
                "enter temp_working_dir() with self.enterContext() in setUp, or use a fixture, and "
                "drop the removal",
            )


RULES = (
    Rule(CODE, "temporary directory in setUp", "", EXPLAIN, (b"TemporaryDirectory|mkdtemp",), find),
)
