"""Making the parts of a root's store, so that it tells of which kind the root is."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ...core.layouts import OWNERS, STORE
from ..project.project import SCRATCH_NAMES, open_root, user_root
from ..system import at


def is_scratch_by_name(root: Path) -> bool:
    """Whether everything in `root` is an entry, if its store says nothing else."""
    return root.name in SCRATCH_NAMES or root == user_root()


def make_parts(root: Path, *parts: str) -> None:
    """Make the store of the root, and these parts of it, if missing; as `make_parts_at`."""
    top = open_root(root)
    try:
        make_parts_at(root, top, *parts)
    finally:
        at.close(top)


def make_parts_at(root: Path, top: int, *parts: str) -> None:
    """Make the store of `root`, open as `top`, and these parts of it, if missing.

    One of scratch has owners from its first moment on, which no other store without a layout has: a
    link to it counts by that. Raises `OSError`.
    """
    first = (OWNERS,) if is_scratch_by_name(root) else ()
    for part in ("", *first, *parts):
        with contextlib.suppress(FileExistsError):
            at.mkdir(f"{STORE}/{part}" if part else STORE, dir_fd=top)
