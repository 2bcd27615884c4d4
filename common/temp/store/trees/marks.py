"""The names by which a root of this program, or a repository of git, is known in a tree."""

from __future__ import annotations

import errno
import stat
from collections.abc import Collection
from typing import Final

from ...core.layouts import STORE
from ..system import at
from .measured import Measured

_GIT: Final = ".git"
_BARE: Final = frozenset({"objects", "refs"})
"""The directories of a bare repository, or links to them; it also has a file `HEAD`."""

OF_GIT: Final = frozenset({_GIT, *_BARE})
"""What marks a repository, be it a directory, a file or a link."""

_SCRATCH: Final = frozenset({".tmp", ".temp"})
"""What a root of scratch is called, which `mkdir` may have made: then it has no store yet."""

MARKS: Final = frozenset({STORE, *_SCRATCH, *OF_GIT})
"""The directories by whose names a root or a repository is known."""


def note(measured: Measured, directory: int, path: str, marks: Collection[str]) -> None:
    """Note in `measured` that the open directory at `path`, which has those `marks`, is a root of
    this program or a repository, or has a root in it.
    """
    if STORE in marks:
        measured.roots.append(path)
    measured.roots += (f"{path}/{name}".lstrip("/") for name in _SCRATCH.intersection(marks))
    if _GIT in marks or (
        _BARE.issubset(marks) and _lies_in(directory, "HEAD") and not _is_of_tree(path)
    ):
        measured.repositories.append(path)


def note_leaf(measured: Measured, directory: int, path: str) -> None:
    """As `note`, for a directory without subdirectories, whose names nobody has listed."""
    if _lies_in(directory, _GIT):
        measured.repositories.append(path)
    elif all(_lies_in(directory, name) for name in sorted(_BARE)):
        note(measured, directory, path, _BARE)


def _is_of_tree(path: str) -> bool:
    """Whether a repository there is `.git` or in it, where the work tree around it tells of it."""
    _, found, inner = f"/{path}/".partition(f"/{_GIT}/")
    return bool(found) and inner.partition("/")[0] in ("", "modules", "worktrees")


def _lies_in(directory: int, name: str) -> bool:
    """Whether anything but a directory is called `name` in the open `directory`, or may be."""
    try:
        status = at.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM)
    return not stat.S_ISDIR(status.st_mode)
