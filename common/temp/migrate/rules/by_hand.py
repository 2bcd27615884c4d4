"""Rules that only list what they find, each a row of one table."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeAlias

from ..findings import Finding
from ..module import Module
from . import Rule
from .sites import Role, made

Sites: TypeAlias = Callable[[Module], Iterator[tuple[ast.AST, str]]]
"""The sites of a rule in a module, each with what the message adds about it."""


class _Row(NamedTuple):
    """`message` and `advice` are what is shown of a site; the rest is as in `Rule`."""

    code: str
    title: str
    message: str
    advice: str
    sites: Sites
    explain: str
    words: tuple[bytes, ...] = (b"TemporaryDirectory|mkdtemp",)

    def rule(self) -> Rule:
        """The rule that this row describes."""
        return Rule(self.code, self.title, "", self.explain, self.words, self.find)

    def find(self, module: Module) -> Iterator[Finding]:
        """A finding for each of its sites in `module`."""
        for node, detail in self.sites(module):
            yield module.finding(self.code, node, self.message + detail, self.advice)


def _in_role(role: Role) -> Sites:
    def sites(module: Module) -> Iterator[tuple[ast.AST, str]]:
        for call, _, found in made(module):
            if found == role:
                yield call, _spell_arguments(call) if role == "arguments" else ""

    return sites


def _spell_arguments(call: ast.Call) -> str:
    names = [f"{keyword.arg}=" if keyword.arg else "**" for keyword in call.keywords]
    return ", ".join([*("a positional argument" for _ in call.args[:1]), *names])


def _mktemp_calls(module: Module) -> Iterator[tuple[ast.AST, str]]:
    for call, meaning in module.calls:
        if meaning.dotted == "tempfile.mktemp" and not module.is_fallback(call):
            yield call, ""


def _star_imports(module: Module) -> Iterator[tuple[ast.AST, str]]:
    for star in module.scopes.stars:
        if star.module == "tempfile" and not star.level and not module.is_fallback(star):
            yield star, ""


_ROWS: Final = (
    _Row(
        "TK101",
        "temporary directory in setUp",
        "a temporary directory that lives from set-up to tear-down",
        "enter temp_working_dir() with self.enterContext() in setUp, or use a fixture, and "
        "drop the removal",
        _in_role("setup"),
        """
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
""",
    ),
    _Row(
        "TK102",
        "temporary directory that is kept",
        "a temporary directory that is kept in a variable or an attribute",
        "give it a with block, or enter temp_working_dir() where this one ends",
        _in_role("kept"),
        """
A directory in an attribute, a variable or an `ExitStack` ends at a time that the code alone
decides, often that of garbage collection. By hand, give it a `with` block, or enter the new one
where the old one was entered:

    self.work = stack.enter_context(tempfile.TemporaryDirectory())
becomes, by hand
    self.work = stack.enter_context(temp_working_dir("export"))

Never rewritten, since nobody can say from here who uses it and until when. What is kept is a `Path`
then, without `.name` and `.cleanup()`.
""",
    ),
    _Row(
        "TK105",
        "temporary directory with arguments",
        "a temporary directory with ",
        "use temp_working_dir() if the reason for it is gone, else keep the line and say why",
        _in_role("arguments"),
        """
`dir=` says where the directory is to be, `delete=False` that it stays, `ignore_cleanup_errors=`,
`suffix=` and the like have reasons that nobody wrote down. `temp_working_dir` has one argument, the
name. By hand, drop the argument if its reason is gone, else keep the line and say the reason:

    with tempfile.TemporaryDirectory(dir="/data") as d:
becomes, by hand
    with temp_working_dir("import") as d:
or
    with tempfile.TemporaryDirectory(dir="/data") as d:  # tempkeep: keep TK105 200 GB at a time

Never rewritten, since the argument may matter.
""",
    ),
    _Row(
        "TK107",
        "tempfile.mktemp",
        "tempfile.mktemp() only gives a name, which others may take",
        "use a name of your own in temp_working_dir()",
        _mktemp_calls,
        """
`mktemp` gives a name that somebody else may take before it is used; on a shared machine that is a
way to have another's file overwritten.

    path = tempfile.mktemp(".csv")
    export(path)
becomes, by hand
    with temp_working_dir("export") as work:
        export(work / "export.csv")

Never rewritten, since nobody can say from here what is made at that path, and for how long.
""",
        (b"mktemp",),
    ),
    _Row(
        "TK108",
        "star import",
        "a star import of tempfile hides what its names mean",
        "import the names that are used",
        _star_imports,
        """
After a star import nobody can say what a name means without running the code.

    from tempfile import *
becomes, by hand
    from tempfile import TemporaryDirectory, mkdtemp

Never rewritten, since other modules may take names from this one that it got so. Once the names are
imported, the other rules see them.
""",
        (b"tempfile", b"*"),
    ),
    _Row(
        "TK109",
        "temporary directory for more than one test",
        "a temporary directory that several tests share",
        "use temp_working_dir() after a look at what the tests leave to each other",
        _in_role("wider"),
        """
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
""",
    ),
)

RULES = tuple(row.rule() for row in _ROWS)
