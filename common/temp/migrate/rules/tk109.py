"""TK109: a temporary directory in a fixture that lives longer than a test."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from . import Rule
from .sites import made

CODE = "TK109"
EXPLAIN = """
A fixture of the scope class, module, package or session shares one directory among tests, which may
lean on what another left in it.

    @pytest.fixture(scope="session")
    def archive():
        with tempfile.TemporaryDirectory() as d:
            yield build(Path(d))
becomes, by hand
    @pytest.fixture(scope="session")
    def archive():
        with temp_working_dir("archive") as d:
            yield build(d)

Never rewritten, since the tests have to be looked at first: mostly each can have its own.
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
