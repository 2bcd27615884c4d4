"""How long an archive keeps what is in it, and how much: which archived entries go for that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .entry import Entry
from .named_tuple import NamedTuple
from .reasons import Reason
from .units import spell_excess, spell_size

ARCHIVE_EXPIRED: Final = "archive expired"
"""The rule that removes what was archived for longer than `archive_keep`."""

ARCHIVE_OVER_SIZE: Final = "archive over size"
"""The rule that removes the oldest archives above `archive_max_size`."""


class ArchiveLimits(NamedTuple):
    """For how many seconds an archive keeps an entry, and how many bytes from one root it holds;
    `None` is no such limit.
    """

    keep: float | None = None
    max_size: int | None = None

    @property
    def are_set(self) -> bool:
        """Whether there is a limit."""
        return self.keep is not None or self.max_size is not None


NO_LIMITS: Final = ArchiveLimits()


def archives_over(
    archives: Iterable[Entry], limits: ArchiveLimits, now: float
) -> tuple[tuple[Entry, Reason], ...]:
    """Those of `archives` that are over a limit, the oldest first, each with its reason.

    Their `changed` is when they were archived. A pinned one stays, and counts.
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
    """Why what was archived so long ago goes; `used` are its bytes and those of all newer ones."""
    keep, most = limits
    if keep is not None and (over := spell_excess(age, keep)):
        return Reason(ARCHIVE_EXPIRED, "goes", f"archived for {over}")
    if most is not None and used > most:
        sizes = f"{spell_size(used)} with all newer archives, limit {spell_size(most)}"
        return Reason(ARCHIVE_OVER_SIZE, "goes", sizes)
    return None
