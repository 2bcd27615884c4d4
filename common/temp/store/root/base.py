"""A root that a program chose with `TempManager.PERSISTENT_BASE`.

Everything in it is an entry that can be cleaned. So it must be empty at first use; then it gets a
store, which marks it as a root.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ...core.layouts import SCRATCH, STORE
from ...errors import InvalidSettings, Refused, StorageError
from ..project.place import homeless_projects, named_project, project_root, working_directory
from ..project.project import (
    MARKERS,
    ROOT_NAME,
    absolute,
    check_root,
    containing_project,
    is_nobodys,
    user_root,
)
from ..settings.recorded_layout import layout_of
from ..system.opening import opened_in
from .making import TAGS, fill, make_store

_PERSISTENT = "PERSISTENT_BASE"
_AUTO = "AUTO_CLEANUP_BASE"
_REMEDY = f"move that away, or set {_PERSISTENT} to a new or empty directory"


class Base(NamedTuple):
    """A root, the project whose settings apply, and whether it is not the project's `.tmp`."""

    root: Path
    project: Path
    is_chosen: bool


def persistent_base(said: object) -> Base:
    """The root for a `PERSISTENT_BASE`, which is relative to the project. Makes nothing.

    Raises `InvalidSettings` if it cannot be a root.
    """
    text = _path(said, _PERSISTENT)
    if os.path.isabs(text):
        root = Path(os.path.abspath(text))
        found = named_project() or containing_project(root.parent)
        if found is None:
            from ..settings.loading import naming  # most roots do not need it

            settings = naming(root)
            found = settings.project if settings is not None else next(homeless_projects())
        project = found
    else:
        project = Path(project_root()).parent
        root = Path(os.path.abspath(project / text))
    is_chosen = root != project / ROOT_NAME
    if is_chosen:
        _check_place(root, project)
    return Base(root, project, is_chosen)


def auto_root(said: object) -> Path:
    """The root of this user in the directory `AUTO_CLEANUP_BASE`. Raises `InvalidSettings`."""
    base = absolute(Path(_path(said, _AUTO)))
    root = user_root(base)
    if root != user_root() and not base.is_dir():
        raise InvalidSettings(f"{_AUTO}: expected an existing directory, got {str(base)!r}")
    return root


def is_root(base: Base) -> bool:
    """Whether the root can hold entries now; false if it is missing or empty.

    Everything in a project's `.tmp` is scratch. Elsewhere, raises `Refused` for content that this
    program did not make, or made for another purpose.
    """
    root = base.root
    if not check_root(root):
        return False
    if not base.is_chosen:
        return True
    if not os.path.lexists(root / STORE):
        _check_empty(root)
        return False
    # A directory of runs also has a store if it was cleaned before layouts were recorded.
    found = layout_of(root)
    if found is not SCRATCH:
        raise Refused(
            f"{root} holds {found.name}, not scratch; set {_PERSISTENT} to another directory"
        )
    return True


def _check_empty(root: Path) -> None:
    """Raise `Refused` if `root`, which has no store, holds anything that would be an entry."""
    try:
        # Files would be entries as well as directories.
        is_empty = not any(SCRATCH.holds(name, is_directory=True) for name in os.listdir(root))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StorageError.of(f"cannot list {root}", error) from error
    # Another process may have made the store and the first entry since the check for the store.
    if not is_empty and not os.path.lexists(root / STORE):
        raise Refused(
            f"{root} holds what tempkeep did not make, and a clean would take all of it; {_REMEDY}"
        )


def make_base(base: Base) -> None:
    """Make the root and its parents if they are missing.

    A project's `.tmp` is made with its first entry instead. Raises what `is_root` raises, or
    `StorageError`.
    """
    root = base.root
    if not base.is_chosen or is_root(base):
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        check_root(root)
        with opened_in(root) as top:
            fill(top, str(root), TAGS, ())
        make_store(root, SCRATCH)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError.of(f"cannot make {error.filename or root}", error) from error
    is_root(base)  # again: another process may have put something into it


def _path(said: object, name: str) -> str:
    text = os.fspath(said) if isinstance(said, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidSettings(f"{name}: expected the path of a directory, got {said!r}")
    return os.path.expanduser(text)


def _check_place(root: Path, project: Path) -> None:
    real, of_project = Path(os.path.realpath(root)), Path(os.path.realpath(project))
    around = (of_project, *of_project.parents, *Path(working_directory()).parents)
    problem = ""
    if is_nobodys(root) or is_nobodys(real) or real in around:
        problem = "holds far more than scratch"
    elif any(os.path.lexists(real / marker) for marker in MARKERS):
        problem = "is a project"
    elif any(part == ".git" or part.startswith(STORE) for part in real.parts):
        problem = "belongs to a program that is not yours"
    elif above := _root_around(real):
        problem = f"is in {above} and would be an entry there"
    if problem:
        raise InvalidSettings(f"{_PERSISTENT}: {root} {problem}; choose a directory of its own")


def _root_around(real: Path) -> Path | None:
    """The root in which `real` would be an entry or a category."""
    for above in real.parents[:2]:
        if any(os.path.lexists(above / marker) for marker in MARKERS):
            break
        if above.name == ROOT_NAME or os.path.lexists(above / STORE):
            return above
    return None
