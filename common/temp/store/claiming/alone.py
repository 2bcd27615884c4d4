"""How long a scan works without workers: they have to be started, which takes time, too."""

from __future__ import annotations

import time
from typing import Final

_ALONE_SECONDS: Final = 0.015
"""How long a scan works alone at least, and how much must seem to be left: starting workers takes
longer than less.
"""

_WAITED_SECONDS: Final = 0.05
"""The same where a scan does not work, but waits for a slow disk."""

_WAITS_BELOW: Final = 0.7
"""The part of its time on a processor below which a scan waits."""

_WAITS: Final = 3
"""How often it waits at least, if the disk is what it waits for. Whoever waits for a processor that
others use never gives it up itself, and to these, workers would only add.
"""


class Alone:
    """A scan without workers of so many entries, and whether it is better off with some."""

    def __init__(self, entries: int) -> None:
        self.waits = False
        """Whether it waits for the disk, so that more workers help than there are processors."""
        self._entries = entries
        self._seen = 0
        self._began = self._latest = _clocks()
        self._waits_before: int | None = None

    def has_seen(self, entries: int) -> None:
        """Note that so many entries are done."""
        self._seen, self._latest = entries, _clocks()

    def is_over(self) -> bool:
        """Whether to go on with workers: there was much to do, and as much seems to be left."""
        if time.monotonic() - self._began[0] < _ALONE_SECONDS:
            return False
        now = _clocks()
        spent, worked = (at - began for at, began in zip(now, self._began, strict=True))
        self.waits = self._waits_often() and worked < _WAITS_BELOW * spent
        if self.waits:
            return spent > _WAITED_SECONDS and self._left(now, 0) > _WAITED_SECONDS
        return worked > _ALONE_SECONDS and self._left(now, 1) > _ALONE_SECONDS

    def _left(self, now: tuple[float, float], clock: int) -> float:
        """The seconds that are left: by what each entry took so far, or as many as this one has."""
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
    """The time by the clock, and that on a processor."""
    return time.monotonic(), time.process_time()
