"""The totals shown in every format of a status: entries, bytes, and what can be undone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..core.entry import Inventory
from ..core.links import Freeing, freed, once
from ..core.reasons import Verdict
from ..core.units import spell_size
from .text import counted, instant


def summary(verdicts: Sequence[Verdict]) -> str:
    """`18 entries, 3.4 GiB on disk, 2.9 GiB reclaimable (85 %)`."""
    if not verdicts:
        return "no entries"
    size, goes = sizes(verdicts)
    share = f" ({100 * goes / size:.0f} %)" if goes else ""
    return (
        f"{counted(len(verdicts))}, {spell_size(size)} on disk, "
        f"{spell_size(goes)} reclaimable{share}"
    )


def category_totals(verdicts: Iterable[Verdict]) -> dict[str, tuple[int, int, int]]:
    """For each category: entries, bytes on disk, and bytes that would be freed.

    A file with names in several categories counts in the size of each, but is freed only once.
    """
    inside: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        inside.setdefault(verdict.entry.category, []).append(verdict)
    freeing = Freeing()
    return {
        category: (
            len(its),
            sum(once(verdict.entry for verdict in its)),
            sum(freeing.add(verdict.entry) for verdict in its if not verdict.keep),
        )
        for category, its in sorted(inside.items())
    }


def sizes(verdicts: Sequence[Verdict]) -> tuple[int, int]:
    """The bytes on disk of all entries, and the bytes that would be freed."""
    going = freed(verdict.entry for verdict in verdicts if not verdict.keep)
    return sum(once(verdict.entry for verdict in verdicts)), sum(going)


def undoable_lines(inventory: Inventory, now: float) -> list[str]:
    """A line on entries that can be undone and still take space, if there are any."""
    held = inventory.undoable
    if not held:
        return []
    size = spell_size(sum(once(held)))
    line = f"{counted(len(held))} set aside, still {size} on disk"
    times = sorted(one.until for one in held if one.until is not None)
    if times:
        first, last = instant(times[0]), instant(times[-1])
        line += f", until {first}" if first == last else f", until {first} to {last}"
    line += " (temp-restore undoes it)"
    over, freed = undoable_goes(inventory)
    if over:
        line += f"; the next clean deletes {over} of them for good and frees {spell_size(freed)}"
    return [line]


def undoable_goes(inventory: Inventory) -> tuple[int, int]:
    """The number of set-aside entries that the next clean deletes, and their bytes."""
    goes = freed(one for one in inventory.undoable if one.goes)
    return len(goes), sum(goes)
