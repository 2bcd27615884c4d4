"""Uses of the parent directory of an entry as a whole."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ...core.entry import Entry, Use
from ...core.units import HOUR
from ..root.leases import Leases
from ..root.listing import holds_only_stamped, is_certain_category
from ..system.environments import is_environment
from ..system.locks import is_locked_at, is_root_locked
from ..system.processes import MADE_IN

_RELIED_ON_SECONDS: Final = 1.0

_COARSE_SECONDS: Final = 0.1
"""By how much the start of a process and the time of a file made then may seem to differ."""


class Above:
    """The uses of an entry's category or root that keep all that is in it in use.

    Both can be locked. The category can be mounted elsewhere, or a virtual environment. A directory
    that is a category only because of its content, or because an entry was made in it, may be an
    entry to its users: it becomes a category once everything in it is stamped, or the first entry
    is made in it. So a process that works directly in it uses all of it, too. In any other
    category, having it as working directory means nothing.
    """

    def __init__(self, root: Path, leases: Leases) -> None:
        self._root = root
        self._leases = leases
        self._is_certain: dict[str, bool] = {}
        self._locks: dict[str, tuple[float, Use | None]] = {}

    def use_of(self, path: str, busy: Mapping[str, Use], entry: Entry | None = None) -> Use | None:
        """The use of what the entry at `path` lies in; `busy` is as from `busy_entries`. Without
        the `entry` itself, it may be any.
        """
        category = path.rpartition("/")[0]
        use = self._made_by(busy.get(category + MADE_IN), entry)
        if use is not None or not category:
            return use or self._lock_on("")
        if category not in self._is_certain:
            place = self._root / category
            self._is_certain[category] = is_certain_category(place, ()) or (
                category in self._leases.recorded_categories() and holds_only_stamped(place)
            )
        use = busy.get(f"{category}/")
        if use is None or (self._is_certain[category] and not use.whole):
            # Using any program, library or script of an environment needs the rest of it.
            use = busy.get(category)
            if use is not None and not is_environment(os.path.join(self._root, category)):
                use = None
        return use or self._lock_on(category) or self._lock_on("")

    def _made_by(self, maker: Use | None, entry: Entry | None) -> Use | None:
        """The use by a process that may have made the entry; not one with a stamp in its name,
        which is made by a helper, and leased if that is ours.
        """
        if maker is None:
            return None
        foreign_for = self._leases.foreign_for
        if entry is not None:
            is_older = (entry.arrived or entry.last) + _COARSE_SECONDS < maker.since
            is_left = not entry.partial and time.time() - entry.last >= foreign_for
            if entry.stamp is not None or is_older or is_left:
                return None
        hours = f"{foreign_for / HOUR:g} h"
        who = f"{maker.who}, so the entry counts as in use until it has been unchanged for {hours}"
        return maker._replace(who=who)

    def _lock_on(self, category: str) -> Use | None:
        asked_at, use = self._locks.get(category, (float("-inf"), None))
        if time.monotonic() - asked_at > _RELIED_ON_SECONDS:
            use, asked_at = None, time.monotonic()
            with contextlib.suppress(OSError):
                place = self._root / category
                if is_locked_at(self._root, place) if category else is_root_locked(self._root):
                    use = Use("lock", f"a process holds a lock (flock) on {place.name}")
            self._locks[category] = asked_at, use
        return use
