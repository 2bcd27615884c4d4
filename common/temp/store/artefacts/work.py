"""Finds locks and possible user work in an artefact, either of which protects all of it."""

from __future__ import annotations

import contextlib
import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from ...core.layouts import STORE
from ...errors import reason_of
from ..project.project import MARKERS
from ..project.tracked import REPOSITORIES
from ..shelf.manifest import MANIFEST
from ..system.environments import MARKS as ENVIRONMENTS
from ..system.environments import is_environment
from ..system.locks import is_locked_at
from .presets import ENVIRONMENT, MODULES, Made

NEVER_ENTERED: Final = frozenset({*REPOSITORIES, ".venv", MODULES})
_HOLDS_WORK: Final = NEVER_ENTERED | {STORE}
_EVERYWHERE: Final = frozenset({"CVS", ".svn"})
_BARE: Final = (
    ("bare repository", ("HEAD", "objects", "refs")),
    ("repository of Subversion", ("format", "db", "hooks", "locks")),
    ("repository of CVS", ("CVSROOT",)),
)
"""Repositories without a work tree, and the files by which they are recognised."""

_OF_ITS_OWN: Final = " of its own"
_ENDINGS: Final = (MANIFEST, ".fossil", ".tfstate")
_TELLING: Final = frozenset(
    name.casefold()
    for path in (*_HOLDS_WORK, *MARKERS, *ENVIRONMENTS, "HEAD", "hooks", "CVSROOT")
    for name in path.split(os.sep)[:1]
)
"""Names that call for `what_else` or show work, folded: some disks list them in another case."""


def what_else(
    directory: str, *, may_be_environment: bool = False, may_be_project: bool = False
) -> str:
    """What `directory` is, if it is more than a part of the project around it; else ""."""
    if not may_be_environment and is_environment(directory):
        return "virtual environment"
    names = {name for name in MARKERS if _holds(directory, name)}
    if _holds(directory, "__init__.py"):
        names.discard("tasks.py")  # may be a module of a package (as with Celery), not invoke's
    if names and not may_be_project:
        return f"project{_OF_ITS_OWN}"
    for kind, parts in _BARE:
        if all(_holds(directory, part) for part in parts):
            return kind
    return ""


def _holds(directory: str, name: str) -> bool:
    return os.path.lexists(os.path.join(directory, name))


def is_work_tree(directory: str) -> bool:
    """Whether `directory` is the top of a work tree, which an outer git knows nothing about."""
    return any(
        os.path.lexists(os.path.join(directory, mark))
        # CVS and old Subversion have one in every directory of a work tree.
        and not (mark in _EVERYWHERE and os.path.lexists(os.path.join(directory, "..", mark)))
        for mark in REPOSITORIES
    )


def work_in(project: Path, path: str, made: Made | None = None) -> str:
    """Why nothing in the artefact at `path` in `project` may be removed: a process holds a lock on
    it, or on a lock file in it (cargo), or it may hold a user's work; "" if it may be removed.

    An artefact that a tool `made` may hold projects that the tool fetched, be or hold virtual
    environments, and hold `node_modules`.
    """
    artefact = project / path
    if _is_locked(project, artefact):
        return "a process holds a lock (flock) on it"
    if artefact.is_symlink() or not artefact.is_dir():
        return ""
    may_be = made is not None and ENVIRONMENT in made.holds
    if what := what_else(str(artefact), may_be_environment=may_be):
        return f"it is a {what}"
    work = _HOLDS_WORK if made is None else _HOLDS_WORK - {MODULES}
    fetches = made is not None
    precious = () if made is None else made.precious
    may_hold = made is not None and made.has_environments
    waiting = [str(artefact)]
    while waiting:
        directory = waiting.pop()
        try:
            with os.scandir(directory) as items:
                is_telling = False
                for item in items:
                    name = item.name.casefold()
                    is_telling |= name in _TELLING
                    if name.endswith(_ENDINGS):
                        return f"it holds {os.path.relpath(item.path, artefact)}"
                    if any(fnmatchcase(name, glob) for glob in precious):
                        what = os.path.relpath(item.path, artefact)
                        return f"it holds {what}, which no tool makes again"
                    if item.is_dir(follow_symlinks=False):
                        waiting.append(item.path)
                    elif _is_for_locks(name) and _is_locked(project, item.path):
                        what = os.path.relpath(item.path, artefact)
                        return f"a process holds a lock (flock) on {what} in it"
        except OSError as error:
            return f"{os.path.relpath(directory, artefact)} in it: {reason_of(error)}"
        if not is_telling:
            continue
        if found := next((name for name in sorted(work) if _holds(directory, name)), ""):
            return f"it holds {os.path.relpath(os.path.join(directory, found), artefact)}"
        what = what_else(directory, may_be_environment=may_hold, may_be_project=fetches)
        if what and directory != str(artefact):
            where = os.path.relpath(directory, artefact)
            return f"it holds the {what.removesuffix(_OF_ITS_OWN)} {where}"
    return ""


def _is_for_locks(name: str) -> bool:
    """Whether `name` is that of a lock file: `lock`, `.cargo-lock`, `x.lock`."""
    return name.endswith("lock") and not name[-5:-4].isalnum()


def _is_locked(project: Path, path: str | os.PathLike[str]) -> bool:
    with contextlib.suppress(OSError):
        return is_locked_at(project, path)
    return False
