"""One line of progress on stderr, where a person looks at it."""

from __future__ import annotations

import os
import sys
import time

from ..core.units import spell_size
from .text import counted

_EVERY_SECONDS = 0.1
_FIRST_AFTER_SECONDS = 0.3


class ProgressLine:
    """Rewrites one line on stderr at most ten times a second; silent without a terminal."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        # Without a standard error at all (`2>&-`) Python has none either.
        self._active = bool(sys.stderr and sys.stderr.isatty() and not os.environ.get("CI"))
        self._next = time.monotonic() + _FIRST_AFTER_SECONDS
        self._shown = False

    def __call__(self, entries: int, size: int) -> None:
        """Show how many entries and bytes have been dealt with."""
        if self._active and time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_SECONDS
            self._shown = True
            line = f"{self._verb} {counted(entries)}, {spell_size(size)}"
            print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away, so that what is printed next stands alone."""
        if self._shown:
            self._shown = False
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
