"""Who uses the directory that an entry lies in, as one uses an entry."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from ...core.entry import Use
from ..root.leases import Leases
from ..root.listing import is_certain_category
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.locks import is_locked


class Above:
    """The uses of what is a category only by what it holds, which may be an entry to its users.

    It becomes one as soon as all that lies in it is stamped. Whoever locked it, or works directly
    in it, uses all of that. In any other category people stand about for no reason.
    """

    def __init__(self, root: Path, leases: Leases) -> None:
        self._root = root
        self._leases = leases
        self._is_certain: dict[str, bool] = {}

    def use_of(self, path: str, busy: Mapping[str, Use]) -> Use | None:
        """Who uses what the entry at `path` lies in; `busy` is as from `busy_entries`."""
        category = path.rpartition("/")[0]
        if not category:
            return None
        if category not in self._is_certain:
            recorded = self._leases.recorded_categories()
            self._is_certain[category] = is_certain_category(self._root / category, recorded)
        if self._is_certain[category]:
            return None
        return busy.get(f"{category}/") or self._lock_on(category)

    def _lock_on(self, category: str) -> Use | None:
        with contextlib.suppress(OSError):
            descriptor = at.open(os.path.join(self._root, category), DIRECTORY_FLAGS)
            try:
                if is_locked(self._root, descriptor):
                    return Use("lock", f"a process holds a lock (flock) on {category}")
            finally:
                at.close(descriptor)
        return None
