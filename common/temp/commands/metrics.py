"""Measures roots: for `temp-status --format openmetrics`, and after a scheduled clean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import Refused, StorageError
from ..report.openmetrics import Measured, openmetrics
from ..report.totals import sizes
from ..store.root.schedule_log import scheduled_cleans
from .forecast import look
from .places import Place, find_places

if TYPE_CHECKING:
    from ..core.entry import Inventory
    from ..core.reasons import Verdict


def measured(place: Place, inventory: Inventory, verdicts: Sequence[Verdict]) -> Measured:
    """Return the numbers of one root."""
    size, reclaimable = sizes(verdicts)
    policy = place.settings.policy
    return Measured(
        place.title,
        str(place.root),
        sum(problem.blocking for problem in inventory.problems),
        len(verdicts),
        size,
        reclaimable,
        inventory.free,
        inventory.capacity,
        policy.max_total_size,
        policy.min_free_space,
        scheduled_cleans(place.root),
    )


def unreadable(place: Place) -> Measured:
    """Return the numbers of an unreadable root."""
    return Measured(place.title, str(place.root), 1, scheduled=scheduled_cleans(place.root))


def metrics_here(now: float) -> str:
    """Return the metrics of the current project and its configured roots."""
    found = []
    for place in find_places(False):
        if place.is_extra:
            continue
        try:
            forecast = look(place, now)
        except (StorageError, Refused):
            found.append(unreadable(place))
        else:
            found.append(measured(place, forecast.inventory, forecast.verdicts()))
    return openmetrics(found)
