"""Rules that only report findings, each a row of one table."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeAlias

from ..findings import Finding
from ..module import Module
from . import Rule
from .sites import Role, made

Sites: TypeAlias = Callable[[Module], Iterator[tuple[ast.AST, str]]]
"""The sites of a rule in a module, each with text to append to the message."""


class _Row(NamedTuple):
    """`message` and `advice` are shown for a site; the other fields are as in `Rule`."""

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
    count = len(call.args)
    by_place = [f"{count} positional arguments" if count > 1 else "a positional argument"]
    return ", ".join([*(by_place if count else ()), *names])


def _kept(module: Module) -> Iterator[tuple[ast.AST, str]]:
    for call, _, role in made(module):
        if role == "kept":
            yield call, "is kept in a variable or an attribute"
        elif role == "gone":
            yield call, "is deleted at once, before its name is used"


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
A directory that `setUp` makes and `tearDown` removes lives across methods, so a `with` block cannot
replace it, and if `setUp` fails halfway nothing removes it. By hand:

    def setUp(self):
        self.work = tempfile.mkdtemp()

    def tearDown(self):
        shutil.rmtree(self.work)
becomes, by hand
    def setUp(self):
        self.work = self.enterContext(temp_working_dir("export"))

Never rewritten, since other methods and subclasses use the attribute, which becomes a `Path`. In a
pytest class, make it a fixture.
""",
    ),
    _Row(
        "TK102",
        "temporary directory that is kept",
        "a temporary directory that ",
        "give it a with block, or enter temp_working_dir() where this one ends",
        _kept,
        """
A directory in an attribute, a variable or an `ExitStack` is deleted at a time that is only known at
run time, often when it is garbage collected. By hand, give it a `with` block, or enter the new one
where the old one was entered:

    self.work = stack.enter_context(tempfile.TemporaryDirectory())
becomes, by hand
    self.work = stack.enter_context(temp_working_dir("export"))

Never rewritten, since the code does not show who uses it and until when. The new value is a `Path`,
without `.name` and `.cleanup()`. The directory of `TemporaryDirectory().name` is deleted as soon as
the name is read, since nothing holds the object.
""",
    ),
    _Row(
        "TK105",
        "temporary directory with arguments",
        "a temporary directory with ",
        "use temp_working_dir() if the reason for it is gone, else keep the line and say why",
        _in_role("arguments"),
        """
`dir=` sets where the directory is, `delete=False` keeps it, and `ignore_cleanup_errors=`, `suffix=`
and others have reasons that are not written down. `temp_working_dir` has one argument, the name. By
hand, drop the argument if its reason is gone, else keep the line and write down the reason:

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
        "tempfile.mktemp() only gives a name, which another process may take",
        "use a name of your own in temp_working_dir()",
        _mktemp_calls,
        """
`mktemp` returns a name that another process can take before it is used. On a shared machine, that
can overwrite another user's file.

    path = tempfile.mktemp(".csv")
    export(path)
becomes, by hand
    with temp_working_dir("export") as work:
        export(work / "export.csv")

Never rewritten, since the code does not show what is made at that path and how long it is needed.
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
After a star import, the meaning of a name is only known at run time.

    from tempfile import *
becomes, by hand
    from tempfile import TemporaryDirectory, mkdtemp

Never rewritten, since other modules may import these names from this one. Once the names are
imported, the other rules see them.
""",
        (b"tempfile", b"*"),
    ),
    _Row(
        "TK109",
        "temporary directory for more than one test",
        "a temporary directory that several tests share",
        "check whether the tests depend on each other's files, then use temp_working_dir()",
        _in_role("wider"),
        """
A fixture with the scope class, module, package or session shares one directory among tests, and a
test may depend on what another left in it.

    @pytest.fixture(scope="session")
    def archive():
        with tempfile.TemporaryDirectory() as d:
            yield build(Path(d))
becomes, by hand
    @pytest.fixture(scope="session")
    def archive():
        with temp_working_dir("archive") as d:
            yield build(d)

Never rewritten, since the tests must be checked first. Usually each can have its own directory.
""",
    ),
)

RULES = tuple(row.rule() for row in _ROWS)
