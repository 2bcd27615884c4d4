"""The names that mark a root of this program, or a git repository, in a tree."""

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
"""The directories of a bare repository, or symlinks to them; it also has a file `HEAD`."""

OF_GIT: Final = frozenset({_GIT, *_BARE})
"""The names that mark a repository, whether directory, file or symlink."""

_SCRATCH: Final = frozenset({".tmp", ".temp"})
"""The names of scratch roots, which a plain `mkdir` may have created without a store."""

MARKS: Final = frozenset({STORE, *_SCRATCH, *OF_GIT})
"""The directory names that mark a root or a repository."""


def note(measured: Measured, directory: int, path: str, marks: Collection[str]) -> None:
    """Record in `measured` that the open directory at `path` is a root or a repository, or contains
    a root, according to its `marks`.
    """
    if STORE in marks:
        measured.roots.append(path)
    measured.roots += (f"{path}/{name}".lstrip("/") for name in _SCRATCH.intersection(marks))
    if _GIT in marks or (
        _BARE.issubset(marks) and _lies_in(directory, "HEAD") and not _is_of_tree(path)
    ):
        measured.repositories.append(path)


def note_leaf(measured: Measured, directory: int, path: str) -> None:
    """As `note`, for a directory without subdirectories that has not been listed."""
    if _lies_in(directory, _GIT):
        measured.repositories.append(path)
    elif all(_lies_in(directory, name) for name in sorted(_BARE)):
        note(measured, directory, path, _BARE)


def _is_of_tree(path: str) -> bool:
    """Whether a repository at `path` is a `.git` or inside one, whose work tree marks it."""
    _, found, inner = f"/{path}/".partition(f"/{_GIT}/")
    return bool(found) and inner.partition("/")[0] in ("", "modules", "worktrees")


def _lies_in(directory: int, name: str) -> bool:
    """Whether `name` in the open `directory` exists, or may exist, and is not a directory."""
    try:
        status = at.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM)
    return not stat.S_ISDIR(status.st_mode)
