"""Who works in one directory, asked again and again while a clean goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from ...core.entry import Use
from ...core.layouts import is_inside
from .processes import processes_inside

_RELIED_ON_SECONDS: Final = 1.0


class AtWork:
    """Who works below one directory; it is looked at again once the last look is a second old."""

    def __init__(self, directory: Path, without: Callable[[], Collection[str]] = frozenset) -> None:
        """The processes `without` do not count; they are asked for with each look."""
        self._directory = directory
        self._without = without
        self._found: dict[str, Use] = {}
        self._looked_at = float("-inf")

    def inside(self, path: str) -> str:
        """A clause about the processes that work in `path`, of which "" is all of the directory; ""
        if there are none.
        """
        if time.monotonic() - self._looked_at > _RELIED_ON_SECONDS:
            self._found = processes_inside(self._directory, self._without())
            self._looked_at = time.monotonic()
        found = (use for at, use in self._found.items() if not path or is_inside(at, path))
        return next((f"in use by {use.who}" for use in found), "")
