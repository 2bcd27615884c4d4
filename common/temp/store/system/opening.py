"""Opening directories by the one way that follows no link which somebody may have put there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from . import at
from .at import DIRECTORY_FLAGS, ROOT_FLAGS

_PASSING: Final = (
    os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC if hasattr(os, "O_PATH") else 0
)
"""For a directory on the way, which need not be readable."""


def open_below(top: int, parts: Iterable[str]) -> int:
    """A new descriptor of the directory `parts` below the open `top`; without parts, of `top`.

    Each part is opened in the one before, so none can be a link. Raises `OSError`, whose
    `filename` is the part.
    """
    current = at.dup(top)
    for part in parts:
        try:
            below = at.open(part, DIRECTORY_FLAGS, dir_fd=current)
        finally:
            at.close(current)
        current = below
    return current


@contextlib.contextmanager
def opened(
    path: str | os.PathLike[str], flags: int = DIRECTORY_FLAGS, *, dir_fd: int | None = None
) -> Iterator[int]:
    """The directory at `path`, open until the block ends. Raises `OSError`."""
    descriptor = at.open(os.fspath(path), flags, dir_fd=dir_fd)
    try:
        yield descriptor
    finally:
        at.close(descriptor)


@contextlib.contextmanager
def opened_real(path: Path) -> Iterator[int]:
    """The directory at the absolute `path`, of which no part may be a link, open until the block
    ends. Raises `OSError`.
    """
    above: int | None = None
    try:
        if _PASSING:
            above = os.open(path.anchor, _PASSING)
            for part in path.parts[1:-1]:
                below = os.open(part, _PASSING, dir_fd=above)
                os.close(above)
                above = below
        name = path if above is None else path.name or os.curdir
        top = at.open(name, DIRECTORY_FLAGS, dir_fd=above)
    finally:
        if above is not None:
            os.close(above)
    try:
        yield top
    finally:
        at.close(top)


@contextlib.contextmanager
def opened_below(top: int, *parts: str) -> Iterator[int]:
    """As `open_below`, open until the block ends."""
    descriptor = open_below(top, parts)
    try:
        yield descriptor
    finally:
        at.close(descriptor)


@contextlib.contextmanager
def opened_in(root: str | os.PathLike[str], *parts: str) -> Iterator[int]:
    """The directory `parts` of `root`, open until the block ends; only `root` may be a link.

    Raises `OSError`.
    """
    with opened(root, ROOT_FLAGS) as top, opened_below(top, *parts) as directory:
        yield directory
