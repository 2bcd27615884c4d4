"""Who works in one directory, for those who ask again and again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from ...core.entry import Use
from ...core.layouts import is_inside
from .processes import processes_inside

_RELIED_ON_SECONDS: Final = 1.0


class AtWork:
    """Who works below one directory; it is looked at again once the last look is a second old."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._found: dict[str, Use] = {}
        self._looked_at = float("-inf")

    def inside(self, path: str) -> str:
        """A clause about the processes that work in `path`; "" if there are none."""
        if time.monotonic() - self._looked_at > _RELIED_ON_SECONDS:
            self._found = processes_inside(self._directory)
            self._looked_at = time.monotonic()
        found = (use.who for place, use in self._found.items() if is_inside(place, path))
        return next((f"in use by {who}" for who in found), "")
