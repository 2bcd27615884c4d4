"""The garbage collector, which rests while a command decides on many entries."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Decisions make no cycles; to look for some among 100,000 of them takes as long as they do.

    A command may do this, since the process is its own.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
