"""The garbage collector, which rests while a command loads its modules or decides on entries."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Neither modules nor decisions leave cycles behind; to look for some among 100,000 decisions
    takes as long as these do, and among all that invoke loads, as long as a small scan.

    What is there at the end stays to the end of the process: to look through that for garbage once
    more then takes a tenth of a short command. A command may do this, since the process is its own.
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
    """Keep the collector from what was made so far: modules, entries and plans stay to the end, and
    each of its rounds would look at all of them again.
    """
    gc.freeze()
