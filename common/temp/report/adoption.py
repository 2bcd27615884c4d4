"""The text output of `temp-adopt`: what moved, what stayed, and what is in `.temp`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..core.adoption import Moved, Survey
from ..core.entry import Inventory
from ..core.layouts import UNCATEGORIZED
from ..core.links import once
from ..core.units import spell_size
from .clean import counted_rules
from .text import ago, counted, instant, plain


def moved_line(moved: Moved) -> str:
    """A line with the outcome for one flat entry."""
    path = plain(moved.entry.path)
    if moved.status == "done":
        return f"moved {path} to {plain(moved.path)}"
    return f"{moved.status} {path}: {plain(moved.detail)}"


def adoption_text(title: str, survey: Survey, moved: Sequence[Moved] | None) -> str:
    """What an adoption did in one root, or would do; printed after the lines of the entries."""
    lines = [
        f"would move {plain(entry.path)} to {UNCATEGORIZED}/{plain(entry.name)}"
        for entry in survey.moves
        if moved is None
    ]
    lines += [
        f"kept {plain(verdict.entry.path)}: {plain(str(verdict.reason))}" for verdict in survey.kept
    ]
    if moved is None:
        total = f"{plain(title)}: would move {counted(len(survey.moves))}"
    else:
        counts = Counter(one.status for one in moved)
        total = f"{plain(title)}: moved {counted(counts['done'])}"
        for status in ("skipped", "failed"):
            if counts[status]:
                total += f"; {counts[status]} {status}"
    return "\n".join([*lines, total + counted_rules(survey.kept)])


def old_root_text(title: str, inventory: Inventory, now: float) -> str:
    """What the older `.temp` holds, and what to do with it."""
    lines = [
        f"{plain(title)}/{plain(entry.path)}  {spell_size(entry.size)}, "
        f"last change {instant(entry.changed)} ({ago(entry, now)})"
        for entry in inventory.entries
    ]
    size = sum(once(inventory.entries))
    if not lines:
        return f"{plain(title)}: no entries; `inv clean` removes it"
    remedy = "`inv clean` cleans it like .tmp; move away what you want to keep"
    total = f"{plain(title)}: {counted(len(lines))}, {spell_size(size)}; {remedy}"
    return "\n".join([*lines, total])
