"""The sums of a status that every format shows: entries, bytes, and what can be undone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..core.entry import Inventory
from ..core.reasons import Verdict
from ..core.units import spell_size
from .text import counted, instant


def summary(verdicts: Sequence[Verdict]) -> str:
    """`18 entries, 3.4 GiB on disk, 2.9 GiB reclaimable (85 %)`."""
    if not verdicts:
        return "no entries"
    totals = category_totals(verdicts).values()
    size, goes = (sum(sizes) for sizes in list(zip(*totals, strict=True))[1:])
    share = f" ({100 * goes / size:.0f} %)" if goes else ""
    return (
        f"{counted(len(verdicts))}, {spell_size(size)} on disk, "
        f"{spell_size(goes)} reclaimable{share}"
    )


def category_totals(verdicts: Iterable[Verdict]) -> dict[str, tuple[int, int, int]]:
    """For each category: entries, bytes on disk, and bytes that would be freed."""
    totals: dict[str, tuple[int, int, int]] = {}
    for verdict in verdicts:
        entry = verdict.entry
        count, size, goes = totals.get(entry.category, (0, 0, 0))
        freed = 0 if verdict.keep else entry.size - entry.shared
        totals[entry.category] = (count + 1, size + entry.size, goes + freed)
    return dict(sorted(totals.items()))


def undoable_lines(inventory: Inventory, now: float) -> list[str]:
    """A line on what can be undone and still takes space, if there is anything."""
    held = inventory.undoable
    if not held:
        return []
    size = spell_size(sum(one.size for one in held))
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
    """How many of the entries set aside the next clean deletes, and their bytes."""
    goes = [one.size - one.shared for one in inventory.undoable if one.goes]
    return len(goes), sum(goes)
