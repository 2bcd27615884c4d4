"""Limits on the age and the size of an archive, and which archived entries exceed them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .entry import Entry
from .named_tuple import NamedTuple
from .reasons import Reason
from .units import spell_excess, spell_size

ARCHIVE_EXPIRED: Final = "archive expired"
"""The rule that removes entries archived for longer than `archive_keep`."""

ARCHIVE_OVER_SIZE: Final = "archive over size"
"""The rule that removes the oldest archives beyond `archive_max_size`."""


class ArchiveLimits(NamedTuple):
    """How many seconds an archive keeps an entry, and how many bytes it may hold from one root;
    `None` means no limit.
    """

    keep: float | None = None
    max_size: int | None = None

    @property
    def are_set(self) -> bool:
        """Whether any limit is set."""
        return self.keep is not None or self.max_size is not None


NO_LIMITS: Final = ArchiveLimits()


def archives_over(
    archives: Iterable[Entry], limits: ArchiveLimits, now: float
) -> tuple[tuple[Entry, Reason], ...]:
    """The `archives` that exceed a limit, oldest first, each with its reason.

    Their `changed` is the time they were archived. A pinned one stays, but counts.
    """
    found = []
    used = 0
    for archived in sorted(archives, key=lambda one: (one.changed, one.path), reverse=True):
        used += archived.size
        reason = _why_over(max(0.0, now - archived.changed), used, limits)
        if reason is not None and archived.pin is None:
            found.append((archived, reason))
    return tuple(reversed(found))


def _why_over(age: float, used: int, limits: ArchiveLimits) -> Reason | None:
    """Why an archive of that `age` goes; `used` is its bytes and those of all newer ones."""
    keep, most = limits
    if keep is not None and (over := spell_excess(age, keep)):
        return Reason(ARCHIVE_EXPIRED, "goes", f"archived for {over}")
    if most is not None and used > most:
        sizes = f"{spell_size(used)} with all newer archives, limit {spell_size(most)}"
        return Reason(ARCHIVE_OVER_SIZE, "goes", sizes)
    return None
