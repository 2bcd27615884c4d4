"""Pauses the garbage collector while a command loads its modules or decides on entries."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Disable the garbage collector in the block: modules and decisions leave no cycles behind.

    Searching 100,000 decisions for cycles takes as long as making them, and searching everything
    that invoke loads takes as long as a small scan. What exists at the end of the block is frozen:
    one more collection would take a tenth of a short command. A command owns its process, so it may
    do this.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()


def pass_over_what_is_there() -> None:
    """Freeze the objects made so far: modules, entries and plans live until the process ends, and
    each collection would traverse all of them again.
    """
    gc.freeze()
