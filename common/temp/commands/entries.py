"""`temp-explain`, `temp-pin` and `temp-unpin`: one entry."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ..errors import InvalidSettings, StorageError
from ..report.explain import explanation
from ..report.text import plain
from ..store.system.processes import processes_that_hide
from .forecast import look
from .places import find_place


def explain_entry(path: str) -> int:
    """Print why the entry at `path` stays or would go; the exit code."""
    place, relative = find_place(path)
    now = time.time()
    try:
        verdict, reasons = look(place, now).explain(relative)
    except LookupError:
        raise StorageError(0, f"{path} vanished while it was being looked at") from None
    elsewhere = place.located() if place.leads_to() is not None else ""
    print(explanation(verdict, reasons, now, elsewhere))
    hiding = processes_that_hide() if verdict.entry.use is None else []
    if hiding:
        others = f" and {len(hiding) - 1} more" if len(hiding) > 1 else ""
        print(
            f"not known: what {plain(hiding[0])}{others} of yours may work in, for the system does "
            "not show it; if it is this, pin it (temp-pin)",
            file=sys.stderr,
        )
    return 0


def pin_entry(path: str, reason: str, *, dry_run: bool = False) -> int:
    """Pin the entry at `path`; the exit code."""
    from ..store.root.layouts import layout_of
    from ..store.root.listing import entry_behind
    from ..store.root.pinning import write_pin

    if not reason.strip():
        raise InvalidSettings("--reason: say why, so that others know when it may go")
    place, relative = find_place(path)
    pinned = [(place.root, relative, place.layout())]
    if behind := entry_behind((place.root, relative), Path(path), place.root / relative):
        pinned.append((*behind, layout_of(behind[0], is_scratch=True)))
    verb = "would pin" if dry_run else "pinned"
    for root, entry, layout in pinned:
        if not dry_run:
            write_pin(root, entry, reason, layout)
        print(f"{verb} {plain(entry)}: {plain(reason)}")
    return 0


def unpin_entry(path: str, *, dry_run: bool = False) -> int:
    """Unpin the entry at `path`; the exit code."""
    from ..store.root.listing import entry_behind
    from ..store.root.pinning import read_pin, remove_pin

    place, relative = find_place(path)
    entries = [(place.root, relative)]
    if behind := entry_behind(entries[0], Path(path), place.root / relative):
        entries.append(behind)
    for root, entry in entries:
        if dry_run:
            verb = "would unpin" if read_pin(root, entry) is not None else "is not pinned:"
        else:
            verb = "unpinned" if remove_pin(root, entry) else "was not pinned:"
        print(f"{verb} {plain(entry)}")
    return 0
