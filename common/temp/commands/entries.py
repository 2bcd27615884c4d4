"""`temp-explain`, `temp-pin` and `temp-unpin`: explain, pin or unpin one entry."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..core.labels import several
from ..errors import InvalidSettings, StorageError
from ..report.explain import explanation
from ..report.text import plain
from ..store.system.hidden_processes import processes_that_hide
from .forecast import look
from .places import find_place
from .printing import fitted, say


def explain_entry(path: str) -> int:
    """Print why the entry at `path` stays or would go; return the exit code."""
    path = os.path.expanduser(path)
    place, relative = find_place(path, _newest)
    now = time.time()
    try:
        verdict, reasons = look(place, now).explain(relative)
    except LookupError:
        raise StorageError(0, f"{path} vanished while it was being looked at") from None
    elsewhere = place.located() if place.leads_to() is not None else ""
    say(explanation(verdict, reasons, now, elsewhere))
    hiding = processes_that_hide() if verdict.entry.use is None else []
    if hiding:
        others = f" and {len(hiding) - 1} more" if len(hiding) > 1 else ""
        _tell(
            f"note: the system hides what {hiding[0]}{others} of your processes use; if it may be "
            "this entry, pin it (temp-pin)"
        )
    return 0


def pin_entry(path: str, reason: str, *, dry_run: bool = False) -> int:
    """Pin the entry at `path`; return the exit code."""
    from ..store.root.find_entry import entries_behind
    from ..store.root.pinning import link_name, pin_there
    from ..store.settings.recorded_layout import layout_of

    if not reason.strip():
        raise InvalidSettings("--reason: say why, so that others know when it may go")
    path = os.path.expanduser(path)
    place, relative = find_place(path, _newest)
    behind = entries_behind((place.root, relative), Path(path), place.root / relative)
    pinned = [(place.root, relative, place.layout())]
    pinned += [(root, entry, layout_of(root, is_scratch=True)) for root, entry in behind]
    verb = "would pin" if dry_run else "pinned"
    link = ""
    for root, entry, layout in pinned:
        if not dry_run:
            pin_there(root, entry, reason, layout, link)
            link = link or link_name(root, entry)
        print(f"{verb} {plain(entry)}: {plain(reason)}")
    return 0


def unpin_entry(path: str, *, dry_run: bool = False) -> int:
    """Unpin the entry at `path`; return the exit code."""
    from ..store.root.find_entry import entries_behind
    from ..store.root.pinning import link_name, read_pin, remove_pin

    path = os.path.expanduser(path)
    place, relative = find_place(path, _pinned)
    entry = place.root, relative
    entries = [entry, *entries_behind(entry, Path(path), place.root / relative)]
    link = ""
    for root, below in entries:
        if dry_run:
            verb = "would unpin" if read_pin(root, below) is not None else "is not pinned:"
        else:
            verb = "unpinned" if remove_pin(root, below, link) else "was not pinned:"
            if link and (left := read_pin(root, below)) is not None:
                verb, below = "still pinned:", f"{below}: {left}"
        print(f"{verb} {plain(below)}")
        link = link or link_name(*entry)
    return 0


def _newest(root: Path, label: str, paths: Sequence[str]) -> str:
    """Return the newest entry with `label`; if there are others, print which one it is."""
    from ..store.root.find_entry import newest_entry

    taken = newest_entry(root, label, paths)
    if len(paths) > 1:
        _tell(f"{label}: the newest of {len(paths)}, {taken}")
    return taken


def _pinned(root: Path, label: str, paths: Sequence[str]) -> str:
    """Return the pinned entry with `label`, else the newest one.

    Raises `InvalidSettings` if several are pinned: unpinning the wrong one could lose it.
    """
    from ..store.root.pinning import read_pin

    pinned = [path for path in paths if read_pin(root, path) is not None]
    if len(pinned) > 1:
        raise several(label, pinned)
    if not pinned:
        return _newest(root, label, paths)
    if len(paths) > 1:
        _tell(f"{label}: the only one of {len(paths)} that is pinned, {pinned[0]}")
    return pinned[0]


def _tell(line: str) -> None:
    print(fitted(plain(line), sys.stderr), file=sys.stderr)
