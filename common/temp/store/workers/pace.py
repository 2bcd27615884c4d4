"""Finding the number of workers at which a removal is fastest, by trying."""

from __future__ import annotations

from typing import Final

_WINDOW_SECONDS: Final = 0.15
"""How long a number of workers is tried before its rate is judged."""

_FEWEST: Final = 100
"""How many deletions in that time make the rate meaningful."""

_GAIN: Final = 1.1
"""The speedup that justifies twice the workers: each one costs a process."""

_STALE_SECONDS: Final = 5.0
"""How long a measured rate is valid: a disk that was busy with other work may be free by then."""


class Pace:
    """A hill climb over 1, 2, 4, 8 … workers by the work done per second.

    Starts with one worker per processor and tries twice as many. If that is not a tenth faster, it
    goes back; if it is slower, it also tries half as many, since each additional process makes a
    spinning disk seek more. At the maximum it tries half as many. `level` is the current number of
    workers.
    """

    def __init__(self, processors: int, most: int) -> None:
        self._levels = [1]
        while self._levels[-1] * 2 <= most:
            self._levels.append(self._levels[-1] * 2)
        within = [index for index, level in enumerate(self._levels) if level <= processors]
        self._index = within[-1] if within else 0
        self._rates: dict[int, tuple[float, float]] = {}
        self._since: float | None = None
        self._done = 0

    @property
    def level(self) -> int:
        """The current number of workers."""
        return self._levels[self._index]

    def hear(self, now: float, done: int) -> int:
        """The level from now on, given the total work `done` at the time `now` (seconds)."""
        if self._since is None:
            self._since, self._done = now, done
        passed, more = now - self._since, done - self._done
        if passed >= _WINDOW_SECONDS and (more >= _FEWEST or passed >= 10 * _WINDOW_SECONDS):
            self._rates[self._index] = (more / passed, now)
            self._index = self._next(now)
            self._since, self._done = now, done
        return self.level

    def _next(self, now: float) -> int:
        """The next level: one not tried recently that may be better, else the best one."""
        here = self._index
        rate = self._rates[here][0]
        below, above = self._lately(here - 1, now), self._lately(here + 1, now)
        if below is not None and rate < below * _GAIN:
            lower = here - 1
            is_slower = rate < below / _GAIN
            if is_slower and lower > 0 and self._lately(lower - 1, now) is None:
                return lower - 1
            return lower
        is_highest = here + 1 == len(self._levels)
        is_worse_above = above is not None and above * _GAIN < rate
        if below is None and here > 0 and (is_highest or is_worse_above):
            return here - 1
        if above is None and not is_highest:
            return here + 1
        if above is not None and above > rate * _GAIN:
            return here + 1
        return here

    def _lately(self, index: int, now: float) -> float | None:
        """The rate per second at that level, if it was measured recently."""
        rate, when = self._rates.get(index, (0.0, 0.0))
        return rate if index in self._rates and now - when < _STALE_SECONDS else None
