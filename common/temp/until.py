"""Entries that are removed when a block ends."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging


_open: dict[str, str] = {}
"""The root of each path whose block has not ended."""


@contextmanager
def until_exit(root: str, make: Callable[[], str]) -> Iterator[Path]:
    """Yield the path that `make` made in `root`, and remove its entry when the block ends.

    A failure to remove it is logged as a warning and left to the next sweep, so that it does not
    hide an error of the block. A block still open when the process exits, such as that
    of a generator that was never exhausted, ends then.
    """
    path = make()
    if not _open:
        # Registered after `make` has loaded the handler that ends the ownership, to run before it.
        atexit.unregister(_end_all)
        atexit.register(_end_all)
    _open[path] = root
    try:
        yield Path(path)
    finally:
        _end(path)


def _end(path: str) -> None:
    root = _open.pop(path, "")
    if root:
        from .store.sweep.discard import discard

        category, name = path[len(root) + 1 :].split("/")[:2]
        problem = discard(root, f"{category}/{name}")
        if problem:
            _log().warning("cannot remove %s: %s", path, problem)


def _end_all() -> None:
    for path in tuple(_open):
        _end(path)


def _log() -> logging.Logger:
    import logging  # most programs that make a directory do not need it

    return logging.getLogger(__name__)
