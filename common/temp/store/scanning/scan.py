"""Scans a root: every entry, measured, with its uses and protections."""

from __future__ import annotations

import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from ...core.entry import CLOCK_SKEW, Entry, Inventory, Problem, Use, has_companions
from ...core.layouts import SCRATCH, Layout
from ...core.policy import WHOLE, Need
from ...errors import in_place, without_remedy
from ..project.project import check_root, open_root
from ..project.store_guard import folds_case
from ..root.arrivals import Arrivals
from ..root.last_use import LastUse, last_uses
from ..root.leases import Leases
from ..root.listing import Found, list_leftovers, listing
from ..root.pinning import Pins
from ..system import at
from ..system.hidden_processes import blindness, unseen
from ..system.mounts import mounts_below
from ..system.processes import MADE_IN, processes_inside
from ..system.space import space_of
from ..trees.measured import NOTHING, Inside
from .entry_times import times_of
from .examining import Looked, Looking, NeedOf, Progress
from .protections_inside import Within
from .uses_above import Above


def scan(
    root: Path,
    now: float,
    *,
    layout: Layout = SCRATCH,
    need: NeedOf | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
    foreign_for: float | None = None,
) -> Inventory:
    """The inventory of `root`, with sizes and uses; empty if the root is missing.

    `now` is in seconds since 1970, `layout` defines what an entry is, and `foreign_for` is as in a
    policy. An entry is `partial` if `need` asks for less than all of it. At most `workers` forked
    processes share a large root; by default, as many as make the scan faster, and none if this
    process has other threads. The result is the same. An unreadable entry becomes a problem in the
    inventory. Raises `StorageError` or `Refused` if the root itself cannot be read or trusted.
    """
    if not check_root(root):
        free, capacity = space_of(root)
        return Inventory(root=str(root), free=free, capacity=capacity)
    leases = Leases(root, foreign_for)
    found, problems = listing(root, leases, layout)
    if need is None or leases.has_unchecked or blindness():
        # If owners cannot be checked, the newest change of an entry decides whether it is in use.
        need = _all_of_it
    entries: list[Entry] = []
    inside: dict[str, Inside] = {}
    staying: set[str] = set()
    top = open_root(root)
    try:
        mounts = mounts_below(str(root))
        arrivals = Arrivals(root)
        looking = Looking(root, top, found, need, mounts, arrivals, now + CLOCK_SKEW)
        for item, looked in zip(found, looking.at_all(progress, workers), strict=True):
            entry = _entry(item, layout, looked, now, problems, mounts, arrivals)
            if entry is not None:
                entries.append(entry)
                if (within := looked.inside) is not NOTHING:
                    inside[entry.path] = within
                if entry.partial and looking.needs[entry.category].enough is not None:
                    staying.add(entry.path)
    finally:
        at.close(top)
    # Only now, so that every listed entry has already been recorded by its maker.
    leases.refresh()
    pins = Pins(root)
    problems += pins.unclear(entry.path for entry in entries)
    protected = _protected(root, entries, inside, staying, leases, pins, now)
    if layout.ends:
        protected = _with_endings(root, protected, leases)
    free, capacity = space_of(root)
    return Inventory(
        root=str(root),
        entries=protected,
        problems=tuple(problems),
        leftovers=tuple(list_leftovers(root)),
        free=free,
        capacity=capacity,
    )


def _with_endings(root: Path, entries: tuple[Entry, ...], leases: Leases) -> tuple[Entry, ...]:
    from ..root.run_ends import with_endings  # few roots hold runs

    return with_endings(root, entries, leases)


def _protected(
    root: Path,
    entries: Collection[Entry],
    inside: Mapping[str, Inside],
    staying: Collection[str],
    leases: Leases,
    pins: Pins,
    now: float,
) -> tuple[Entry, ...]:
    """The entries with their uses, makers and pins, and the protections from inside them."""
    busy = busy_entries(root) if entries else {}
    within, above = Within(root), Above(root, leases)
    uses, is_blind = last_uses(root), bool(blindness())
    any_case = folds_case(root)
    plain: set[str] = set()
    """The categories in which only its own content can protect an entry."""
    if not (busy or uses or is_blind or any_case or leases.has_any or pins.has_any()):
        places = {one.path.rpartition("/")[0]: one.path for one in entries}
        plain = {
            place
            for place, path in places.items()
            if within.is_usual(path) and above.use_of(path, busy) is None
        }

    def seen(entry: Entry) -> Entry:
        use = (
            leases.use_of(entry.path, now, entry.last)
            or entry.use
            or busy.get(entry.path)
            or above.use_of(entry.path, busy, entry)
            or (unseen(now, entry.last, lambda: leases.foreign_for) if is_blind else None)
        )
        pin, made_by = pins.of(entry.path), leases.maker_of(entry.path)
        used = _used(uses.get(entry.path), now)
        if use is None and pin is None and made_by is None and not (used or any_case):
            return entry
        return entry._replace(use=use, pin=pin, made_by=made_by, used=used, any_case=any_case)

    found = tuple(
        [
            entry  # the usual case
            if entry.path.rpartition("/")[0] in plain and entry.path not in inside
            else within.protected(
                seen(entry), inside.get(entry.path, NOTHING), now, stays=entry.path in staying
            )
            for entry in entries
        ]
    )
    if has_companions(found):
        from ...core.databases import sharing  # few roots hold databases

        return sharing(found)
    return found


def _used(noted: LastUse | None, now: float) -> float:
    """When that entry was last used; 0 if never, or if the noted time is in the future."""
    return noted.used if noted is not None and noted.used <= now + CLOCK_SKEW else 0.0


def _all_of_it(category: str) -> Need:
    return WHOLE


def _entry(
    item: Found,
    layout: Layout,
    looked: Looked,
    now: float,
    problems: list[Problem],
    mounts: frozenset[str],
    arrivals: Arrivals,
) -> Entry | None:
    """The entry made from `looked`; `None` if it cannot be one. Adds its problems to `problems`."""
    measured = looked.measured
    if measured is None:
        problems.append(Problem(item.path, looked.failure, blocking=looked.mode != 0))
        return None
    if layout.category and not layout.holds(item.path, is_directory=stat.S_ISDIR(looked.mode)):
        return None  # it was replaced after it was listed
    unreadable: str | None = None
    for where, what in measured.problems:
        problem = in_place(what, where)
        unreadable = unreadable or without_remedy(problem)
        problems.append(Problem(item.path, problem))
    label, stamp = layout.read_name(item.path.rpartition("/")[2])
    times = times_of(item.path, stamp, layout, looked, measured, arrivals, now)
    if times.problem:
        problems.append(Problem(item.path, times.problem, False))
    mounted = None if measured.mounted is None else f"{item.path}/{measured.mounted}".rstrip("/")
    category = item.path.rpartition("/")[0]
    if category in mounts:
        mounted = category  # entries cannot be moved out of a mount, so no clean claims them
    return Entry(
        path=item.path,
        category=item.category,
        label=label,
        stamp=stamp,
        kind=_kind(looked.mode),
        size=measured.size,
        apparent=measured.apparent,
        links=measured.links,
        files=measured.files,
        directories=measured.directories,
        inodes=measured.inodes,
        arrived=times.arrived,
        changed=times.changed,
        changed_in=times.changed_in,
        seen=times.seen,
        use=Use("lock", "a process holds a lock (flock) on it") if looked.is_locked else None,
        device=looked.device,
        inode=looked.inode,
        unreadable=unreadable,
        future=times.future,
        unfinished=times.unfinished,
        mounted=mounted,
        partial=measured.partial,
    )


def _kind(mode: int) -> Literal["directory", "file", "symlink", "other"]:
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISREG(mode):
        return "file"
    return "symlink" if stat.S_ISLNK(mode) else "other"


def busy_entries(root: Path) -> dict[str, Use]:
    """The uses of entries by processes that work inside them, by every path that may be an entry.

    For a process that works directly in a possible category, the key with a trailing slash is set
    as well. For one that may make entries in the root or a category, the key is that directory and
    `MADE_IN`.
    """
    busy: dict[str, Use] = {}
    found = processes_inside(root).items()
    for place, use in sorted(found, key=lambda one: one[1].mine):  # other processes first
        if place.endswith(MADE_IN):
            busy[place] = use
            continue
        top, _, rest = place.partition("/")
        busy.setdefault(top, use)
        busy.setdefault(f"{top}/{rest.partition('/')[0]}", use)
    return busy
