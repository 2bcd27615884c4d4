"""What the parts of the page share: the values shown for a root, and text that is safe in HTML."""

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
"""The names of the colours of one or several entries: what the next clean does with them."""


class Shown(NamedTuple):
    """One root on the page: its title, its scan, all verdicts, the listed verdicts, how the next
    clean disposes of what goes, and the past sweeps, newest first, if they are shown. The sums and
    the map count all verdicts.
    """

    title: str
    inventory: Inventory
    verdicts: Sequence[Verdict]
    listed: Sequence[Verdict]
    disposal: Disposal = "delete"
    sweeps: Sequence[PastSweep] | None = None


def markup(text: str) -> str:
    """`text` from the disk, escaped for HTML."""
    return escape(plain(text))


def mark_of(verdict: Verdict) -> str:
    """The colour of one entry: a name of `MARKS`."""
    if not verdict.keep:
        return "goes"
    if verdict.entry.pin is not None:
        return "pinned"
    return "used" if verdict.entry.use is not None else "stays"
