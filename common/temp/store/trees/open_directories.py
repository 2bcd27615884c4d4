"""The open directories of a walk, limited in number however deep the tree is."""

from __future__ import annotations

import errno
import os
from typing import Final, Generic, TypeVar

from ...errors import StorageError
from ..system import at
from ..system.at import DIRECTORY_FLAGS

OPEN_LEVELS: Final = 48
"""How many directories of one walk are open at once; those above are reopened through `..`."""


class Level:
    """One directory on the way down; `descriptor` is `None` while it is closed."""

    __slots__ = ("depth", "descriptor", "identity")

    def __init__(self, descriptor: int, status: os.stat_result, depth: int) -> None:
        self.descriptor: int | None = descriptor
        self.identity = (status.st_dev, status.st_ino)
        self.depth = depth

    def close(self) -> None:
        """Close the directory, if it is open."""
        if self.descriptor is not None:
            at.close(self.descriptor)
            self.descriptor = None


L = TypeVar("L", bound=Level)


class Descent(Generic[L]):
    """The directories from the top of a tree down to a walk's position; the lowest one is open.

    With `keeps_top`, the top stays open throughout. Close it after use.
    """

    def __init__(self, *, keeps_top: bool = False) -> None:
        self.levels: list[L] = []
        self._always_open = int(keeps_top)
        self._first_open = self._always_open
        """The levels from this index down are open."""

    def push(self, level: L) -> None:
        """Go down to `level`, and close the highest one if too many are open."""
        levels = self.levels
        levels.append(level)
        if len(levels) - self._first_open > OPEN_LEVELS:
            levels[self._first_open].close()
            self._first_open += 1

    def pop(self) -> L:
        """Remove and return the lowest level, which the caller closes. See `reopen`."""
        done = self.levels.pop()
        self._first_open = max(self._always_open, min(self._first_open, len(self.levels) - 1))
        return done

    def reopen(self, done: L) -> None:
        """Open the level above `done`, which was just popped, if it is closed.

        This uses `..`, which leads to another directory if `done` was moved. Then the path up is
        lost: the closed levels are dropped, and `OSError` (ESTALE) is raised.
        """
        if not self.levels or self.levels[-1].descriptor is not None:
            return
        above = self.levels[-1]
        try:
            above.descriptor = _climb(done, above)
        except OSError:
            while self.levels and self.levels[-1].descriptor is None:
                self.levels.pop()
            self._first_open = max(self._always_open, len(self.levels) - 1)
            raise

    def close(self) -> None:
        """Close all open levels."""
        for level in self.levels:
            level.close()


def _climb(done: Level, above: Level) -> int:
    """A descriptor of the directory `above`, opened from `done`, which is further down."""
    assert done.descriptor is not None
    current = at.dup(done.descriptor)
    for _ in range(done.depth - above.depth):
        try:
            parent = at.open("..", DIRECTORY_FLAGS, dir_fd=current)
        finally:
            at.close(current)
        current = parent
    status = at.fstat(current)
    if (status.st_dev, status.st_ino) != above.identity:
        at.close(current)
        raise StorageError(errno.ESTALE, "moved while it was being read")
    return current
