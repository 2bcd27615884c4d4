"""TK104: a directory from `mkdtemp` that is not certain to be removed."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..findings import Finding
from ..module import Module
from ..scopes import Scope
from . import Rule
from .sites import Made, made
from .tk008 import form_of

CODE = "TK104"
REMOVE = "shutil.rmtree"
EXPLAIN = """
A directory from `mkdtemp` stays until it is deleted. Here nothing deletes it, or something does
only if nothing fails first. By hand, use a `with` block if the directory can end with it, else an
entry, which a clean removes once the process is gone:

    out = tempfile.mkdtemp()
becomes, by hand
    out = TempManager.create_persistent_dir("out", "work")

Never rewritten, since the code does not show how long it is needed.
"""


def find(module: Module) -> Iterator[Finding]:
    """Each `mkdtemp` whose directory may stay."""
    for site in made(module):
        if site.role == "loose" and form_of(module, site) is None:
            line, how = _removed(module, site)
            what = "a directory of mkdtemp() that " + (
                f"line {line} {how}" if line else "nobody removes"
            )
            yield module.finding(
                CODE,
                site.call,
                what,
                "use temp_working_dir() for a block, or TempManager.create_persistent_dir()",
            )


def _removed(module: Module, site: Made) -> tuple[int, str]:
    """The line that removes the directory through its variable, and when; 0 if there is none."""
    statement = module.scopes.statement(site.call)
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return 0, ""
    scopes = module.scopes

    def removal(home: Scope | None, name: str) -> tuple[int, str]:
        for use in scopes.uses(home, name) if home is not None else ():
            call = scopes.parents[use]
            if isinstance(call, ast.Call):
                if scopes.meaning(call.func).dotted == REMOVE:
                    return use.lineno, "removes unless something fails first"
                if any(scopes.meaning(other).dotted == REMOVE for other in call.args):
                    return use.lineno, "schedules for removal"
        return 0, ""

    return module.of_name(statement.targets[0].id, statement, removal)


RULES = (Rule(CODE, "mkdtemp that nobody removes", "", EXPLAIN, (b"mkdtemp",), find),)
