"""What in an artefact may be somebody's work, so that nothing of it goes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ...core.layouts import STORE
from ...errors import reason_of
from ..project.project import MARKERS
from ..project.tracked import REPOSITORIES
from ..shelf.manifest import MANIFEST
from ..system.environments import is_environment
from .presets import ENVIRONMENT, MODULES, Made

NEVER_ENTERED: Final = frozenset({*REPOSITORIES, ".venv", MODULES})
_HOLDS_WORK: Final = NEVER_ENTERED | {STORE}
_EVERYWHERE: Final = frozenset({"CVS", ".svn"})
_BARE: Final = frozenset({"HEAD", "objects", "refs"})


def what_else(directory: str, *, may_be_environment: bool = False) -> str:
    """Why `directory` is not a part of the project around it; "" if it is."""
    names = {
        name for name in (*MARKERS, "__init__.py") if os.path.lexists(os.path.join(directory, name))
    }
    if not may_be_environment and is_environment(directory):
        return "it is a virtual environment"
    if "__init__.py" in names:
        names.discard("tasks.py")  # may be a module of a package (as with Celery), not invoke's
    if names & set(MARKERS):
        return "it is a project of its own"
    if all(os.path.lexists(os.path.join(directory, name)) for name in _BARE):
        return "it is a bare repository"
    return ""


def is_work_tree(directory: str) -> bool:
    """Whether a work tree begins there, which no git around it knows anything of."""
    return any(
        os.path.lexists(os.path.join(directory, mark))
        # Of these there is one in every directory of a work tree.
        and not (mark in _EVERYWHERE and os.path.lexists(os.path.join(directory, "..", mark)))
        for mark in REPOSITORIES
    )


def work_in(artefact: Path, made: Made | None = None) -> str:
    """Why nothing in the artefact may go: it may hold somebody's work; "" if it holds none.

    What a tool `made` may be a virtual environment, and have modules of node in it.
    """
    if artefact.is_symlink() or not artefact.is_dir():
        return ""
    may_be = made is not None and ENVIRONMENT in made.holds
    if what := what_else(str(artefact), may_be_environment=may_be):
        return what
    work = _HOLDS_WORK if made is None else _HOLDS_WORK - {MODULES}
    waiting = [str(artefact)]
    while waiting:
        directory = waiting.pop()
        try:
            with os.scandir(directory) as items:
                names = set()
                for item in items:
                    name = item.name
                    names.add(name)
                    if name in work or name.endswith((MANIFEST, ".fossil")):
                        return f"it holds {os.path.relpath(item.path, artefact)}"
                    if item.is_dir(follow_symlinks=False):
                        waiting.append(item.path)
                if names >= _BARE:
                    return f"it holds the bare repository {os.path.relpath(directory, artefact)}"
        except OSError as error:
            return f"{os.path.relpath(directory, artefact)} in it: {reason_of(error)}"
    return ""
