"""Entries that are removed when a block ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging


@contextmanager
def until_exit(root: str, make: Callable[[], str]) -> Iterator[Path]:
    """Yield the path that `make` made in `root`, and remove its entry when the block ends.

    A failure to remove it is logged as a warning and left to the next sweep, so that it does not
    hide an error of the block.
    """
    from .store.sweep.discard import discard

    path = make()
    try:
        yield Path(path)
    finally:
        category, name = path[len(root) + 1 :].split("/")[:2]
        problem = discard(root, f"{category}/{name}")
        if problem:
            _log().warning("cannot remove %s: %s", path, problem)


def _log() -> logging.Logger:
    import logging  # most programs that make a directory do not need it

    return logging.getLogger(__name__)
