"""Creation of a root's store and its parts, which show the kind of the root."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ...core.layouts import OWNERS, STORE
from ..system import at
from .project import SCRATCH_NAMES, open_root, user_root


def is_scratch_by_name(root: Path) -> bool:
    """Whether everything in `root` is an entry, unless its store records another layout."""
    return root.name in SCRATCH_NAMES or root == user_root()


def make_parts(root: Path, *parts: str) -> None:
    """Make the store of `root` and these parts of it if missing; see `make_parts_at`."""
    top = open_root(root)
    try:
        make_parts_at(root, top, *parts)
    finally:
        at.close(top)


def make_parts_at(root: Path, top: int, *parts: str) -> None:
    """Make the store of `root`, open as `top`, and these parts of it if missing.

    A store of scratch gets the directory for owners at once. No other store without a layout has
    one, so a symlink to scratch can be recognised by it. Raises `OSError`.
    """
    first = (OWNERS,) if is_scratch_by_name(root) else ()
    for part in ("", *first, *parts):
        with contextlib.suppress(FileExistsError):
            at.mkdir(f"{STORE}/{part}" if part else STORE, dir_fd=top)
