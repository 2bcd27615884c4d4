"""Decides how long a scan works without worker processes, which take time to start."""

from __future__ import annotations

import time
from typing import Final

_ALONE_SECONDS: Final = 0.015
"""How long a scan works alone before it starts workers, and the least work that must seem left:
less is done sooner than workers are started.
"""

_WAITED_SECONDS: Final = 0.05
"""The same for a scan that mostly waits for a slow disk."""

_WAITS_BELOW: Final = 0.7
"""A scan that spends less than this fraction of its time on a CPU is waiting."""

_WAITS: Final = 3
"""The fewest voluntary context switches of a scan that waits for the disk. A scan that waits for a
busy CPU has none, and more workers would only add to the load.
"""


class Alone:
    """A scan of `entries` entries without workers; tells whether workers would help."""

    def __init__(self, entries: int) -> None:
        self.waits = False
        """Whether it waits for the disk, so that more workers than CPUs help."""
        self._entries = entries
        self._seen = 0
        self._began = self._latest = _clocks()
        self._waits_before: int | None = None

    def has_seen(self, entries: int) -> None:
        """Note that this many entries are done."""
        self._seen, self._latest = entries, _clocks()

    def is_over(self) -> bool:
        """Whether to continue with workers: enough was done already, and as much seems left."""
        if time.monotonic() - self._began[0] < _ALONE_SECONDS:
            return False
        now = _clocks()
        spent, worked = (at - began for at, began in zip(now, self._began, strict=True))
        self.waits = self._waits_often() and worked < _WAITS_BELOW * spent
        if self.waits:
            return spent > _WAITED_SECONDS and self._left(now, 0) > _WAITED_SECONDS
        return worked > _ALONE_SECONDS and self._left(now, 1) > _ALONE_SECONDS

    def _left(self, now: tuple[float, float], clock: int) -> float:
        """The estimated seconds left: from the average so far, but at least the time that the
        current entry has taken.
        """
        done = self._latest[clock] - self._began[clock]
        others = done / self._seen * (self._entries - self._seen) if self._seen else 0.0
        return max(others, now[clock] - self._latest[clock])

    def _waits_often(self) -> bool:
        from resource import RUSAGE_SELF, getrusage  # small scans are over by now

        waits = getrusage(RUSAGE_SELF).ru_nvcsw
        if self._waits_before is None:
            self._waits_before = waits
        return waits - self._waits_before >= _WAITS


def _clocks() -> tuple[float, float]:
    """The wall-clock time and the CPU time."""
    return time.monotonic(), time.process_time()
