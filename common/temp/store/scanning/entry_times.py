"""The times of an entry: when it arrived and last changed, as far as that is plausible."""

from __future__ import annotations

from typing import Final

from ...core.entry import CLOCK_SKEW
from ...core.layouts import Layout
from ...core.named_tuple import NamedTuple
from ..root.arrivals import Arrivals, arrival_of
from ..trees.measured import Measured
from .examining import Looked


class Times(NamedTuple):
    """The times of one entry, as in `Entry`, and a `problem` with them."""

    arrived: float
    changed: float
    changed_in: str
    seen: float
    future: float
    unfinished: bool
    problem: str


def times_of(
    path: str,
    stamp: int | None,
    layout: Layout,
    looked: Looked,
    measured: Measured,
    arrivals: Arrivals,
    now: float,
) -> Times:
    """When the entry at `path` arrived and last changed; `stamp` is the one in its name.

    A time in the future never counts. Nor do changes by a clean that could not remove all of the
    entry, as long as nothing was changed after it.
    """
    known = arrivals.of(path, looked.inode, looked.ctime_ns)
    told = layout.arrival_of(path) if layout.category else stamp
    arrived = 0.0
    if not layout.by_change:
        arrived = arrival_of(told, known, looked.ctime_ns / 1e9, now)
    unfinished = known is not None and known.unfinished and measured.changed_ns <= known.ctime_ns
    seen = changed = measured.changed_ns / 1e9
    changed_in = measured.changed_in
    if known is not None and unfinished:
        changed, changed_in = known.changed, ""
    elif seen < _EARLIEST:  # everything in it is from the future
        changed = arrived
    future = measured.future_ns / 1e9
    problem = ""
    if future:
        where = f" ({measured.future_in})" if measured.future_in else ""
        problem = f"was changed in the future{where}, which does not count"
    elif told is not None and told > now + CLOCK_SKEW:
        problem = "has a stamp in the future, which does not count"
        future = told
    return Times(arrived, changed, changed_in, seen, future, unfinished, problem)


_EARLIEST: Final = -1e9
"""About thirty years before 1970; no filesystem has times much earlier than that."""
