"""TK902: a project that declares its dependencies without the package."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final

from .declaring import add
from .dependencies import DISTRIBUTION, best_place
from .files import Ground
from .findings import FileResult, Finding, Need

CODE: Final = "TK902"
EXPLAIN: Final = """
A file that imports `common.temp` needs tempkeep wherever it runs. Nothing is rewritten in a project
that declares its dependencies without it; each finding there says where to add it.

    dependencies = ["requests"]
becomes
    dependencies = ["requests", "tempkeep"]

`--write --add-dependency` adds it before it rewrites the files that need it: to the dependencies of
the project or, where only tests and tools need it, to a group `test` or `dev` that the project has.
It edits `pyproject.toml`, `setup.cfg`, `Pipfile`, and requirements files written by hand, and
changes nothing else in them. Then install the dependencies again, and update lock files.
"""
_LOCKS: Final = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml")


def additions(ground: Ground, needs: Iterable[Need]) -> Iterator[tuple[str, FileResult]]:
    """Each project that has to declare the package, with the result for the file to edit."""
    always: dict[str, bool] = {}
    for need in needs:
        always[need.project] = always.get(need.project, False) or need.always
    for project, wanted in sorted(always.items()):
        directory = os.path.join(ground.top, project) if project else ground.top
        place = best_place(directory, always=wanted)
        path = f"{project}/{place.file}" if project else place.file
        added = add(directory, place)
        if added.why_not:
            yield project, FileResult(path, problem=f"cannot add {DISTRIBUTION}: {added.why_not}")
            continue
        what = f"does not list {DISTRIBUTION} in {place._replace(file=path).shown}; add it"
        finding = Finding(
            CODE, added.line, 1, added.line, what, _advice(directory), "safe", status="convertible"
        )
        yield project, FileResult(path, (finding,), before=added.before, after=added.after)


def _advice(directory: str) -> str:
    """What to do afterwards, as advice."""
    locks = [name for name in _LOCKS if os.path.isfile(os.path.join(directory, name))]
    return f"then {'update ' + locks[0] + ' and ' if locks else ''}install the dependencies again"
