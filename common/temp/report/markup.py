"""What the parts of the page share: what is shown of a root, and text that is safe in HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from ..core.disposal import Disposal
from ..core.entry import Inventory
from ..core.history import PastSweep
from ..core.reasons import Verdict
from .text import plain

MARKS: Final = ("goes", "stays", "used", "pinned", "mixed")
"""How an entry, or several, is coloured; by what the next clean does."""


class Shown(NamedTuple):
    """One root on the page: its title, the scan, all verdicts, those that are listed, how the next
    clean disposes of what goes, and past sweeps, the newest first, if they are shown. The sums and
    the map count all verdicts.
    """

    title: str
    inventory: Inventory
    verdicts: Sequence[Verdict]
    listed: Sequence[Verdict]
    disposal: Disposal = "delete"
    sweeps: Sequence[PastSweep] | None = None


def markup(text: str) -> str:
    """`text` from a disk, as HTML shows it."""
    return escape(plain(text))


def mark_of(verdict: Verdict) -> str:
    """The mark of one entry."""
    if not verdict.keep:
        return "goes"
    if verdict.entry.pin is not None:
        return "pinned"
    return "used" if verdict.entry.use is not None else "stays"
