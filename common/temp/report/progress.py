"""One line of progress on stderr, if that is a terminal."""

from __future__ import annotations

import os
import sys
import time

from ..core.units import spell_duration, spell_size
from .text import counted

_EVERY_SECONDS = 0.1
_FIRST_AFTER_SECONDS = 0.3
_GUESS_AFTER_SECONDS = 1.0
"""How many seconds to measure before the time left is estimated."""


class ProgressLine:
    """Rewrites one line on stderr at most ten times a second; prints nothing without a terminal."""

    def __init__(self, verb: str, noun: tuple[str, str] = ("entry", "entries")) -> None:
        self._verb = verb
        self._noun = noun
        # With stderr closed (`2>&-`), `sys.stderr` is `None`.
        self._active = bool(sys.stderr and sys.stderr.isatty() and not os.environ.get("CI"))
        self._started = time.monotonic()
        self._next = self._started + _FIRST_AFTER_SECONDS
        self._shown = False

    @property
    def is_due(self) -> bool:
        """Whether the line would be rewritten now."""
        return self._active and time.monotonic() >= self._next

    def __call__(
        self, entries: int, size: int, *, of: int = 0, files: int = 0, share: float = 0.0
    ) -> None:
        """Show how many entries (`of` how many), files and bytes are done.

        The time left is estimated from `share`, the part of the work that is done.
        """
        if self.is_due:
            now = time.monotonic()
            self._next = now + _EVERY_SECONDS
            self._shown = True
            one, many = self._noun
            parts = [
                f"{entries} of {counted(of, one, many)}" if of else counted(entries, one, many)
            ]
            if files:
                parts.append(counted(files, "file", "files"))
            parts.append(spell_size(size))
            spent = now - self._started
            if 0 < share < 1 and spent > _GUESS_AFTER_SECONDS:
                parts.append(f"{spell_duration(spent / share * (1 - share))} left")
            line = f"{self._verb} {', '.join(parts)}"
            print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove the line, so that other output can follow."""
        if self._shown:
            self._shown = False
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
