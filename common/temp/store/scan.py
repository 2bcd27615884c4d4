"""What there is: every entry of a root, measured, with who uses it and what keeps it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias

from ..core.entry import Entry, Inventory, Problem, Use
from ..core.layout import is_inside, read_name
from .lease import Leases, is_locked
from .listing import Found, list_leftovers, listing
from .mounts import mounts_below
from .pinning import Pins
from .processes import processes_inside
from .project import check_root
from .walk import DIRECTORY_FLAGS, ROOT_FLAGS, Measured, measure

_CLOCK_SKEW: Final = 60.0
"""Seconds by which a network filesystem's clock may run ahead before a time counts as future."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the entries measured so far and the bytes in them."""


def scan(root: Path, now: float, *, progress: Progress | None = None) -> Inventory:
    """All that `root` holds, measured, with who uses what; an empty inventory if it is missing.

    `now` is in seconds since 1970. One unreadable entry is a problem in the inventory, not an
    error. Raises `StorageError` or `Refused` if the root itself cannot be read or trusted.
    """
    if not check_root(root):
        return Inventory(root=str(root), free=free_bytes(root))
    leases = Leases(root)
    found, problems = listing(root, leases)
    mounts = mounts_below(str(root))
    entries: list[Entry] = []
    measured_bytes = 0
    root_descriptor = os.open(root, ROOT_FLAGS)
    try:
        for item in found:
            entry = _measure_entry(root, root_descriptor, item, mounts, now, problems)
            if entry is not None:
                entries.append(entry)
                measured_bytes += entry.size
            if progress is not None:
                progress(len(entries), measured_bytes)
    finally:
        os.close(root_descriptor)
    # Last, so that whoever made an entry that was listed has recorded it by now.
    leases.refresh()
    busy = busy_entries(root)
    pins = Pins(root)
    return Inventory(
        root=str(root),
        entries=tuple(
            entry._replace(
                use=(
                    leases.use_of(entry.path, now, entry.changed)
                    or entry.use
                    or busy.get(entry.path)
                ),
                pin=pins.of(entry.path),
                made_by=leases.maker_of(entry.path),
            )
            for entry in entries
        ),
        problems=tuple(problems),
        leftovers=tuple(list_leftovers(root)),
        free=free_bytes(root),
    )


def _measure_entry(
    root: Path,
    top: int,
    item: Found,
    mounts: frozenset[str],
    now: float,
    problems: list[Problem],
) -> Entry | None:
    try:
        status = os.stat(item.path, dir_fd=top, follow_symlinks=False)
        kind = _kind(status.st_mode)
        size = status.st_blocks * 512
        measured = Measured(size, status.st_size, 0, 1, 0, status.st_mtime_ns)
        if status.st_nlink > 1 and kind != "directory":
            measured.shared = size
        use: Use | None = None
        unreadable: str | None = None
        if kind == "directory":
            try:
                measured, use, status = _look_inside(root, top, item, mounts, measured)
            except PermissionError as error:
                measured.problems.append(("", error.strerror or str(error)))
    except FileNotFoundError:
        problems.append(Problem(item.path, "vanished while it was being looked at", blocking=False))
        return None
    except OSError as error:
        problems.append(Problem(item.path, error.strerror or str(error)))
        return None
    for where, what in measured.problems:
        place = f" in {where}" if where else ""
        unreadable = unreadable or f"{what}{place}"
        problems.append(Problem(item.path, f"{what}{place}"))
    label, stamp = read_name(item.path.rpartition("/")[2])
    changed = measured.changed_ns / 1e9
    future = _future_problem(item.path, stamp, changed, measured.changed_in, now)
    if future is not None:
        problems.append(future)
    return Entry(
        path=item.path,
        category=item.category,
        label=label,
        stamp=stamp,
        kind=kind,
        size=measured.size,
        apparent=measured.apparent,
        shared=measured.shared,
        files=measured.files,
        directories=measured.directories,
        changed=changed,
        changed_in=measured.changed_in,
        use=use,
        device=status.st_dev,
        inode=status.st_ino,
        unreadable=unreadable,
        future=future is not None,
        mounted=measured.mounted,
    )


def _look_inside(
    root: Path,
    top: int,
    item: Found,
    mounts: frozenset[str],
    measured: Measured,
) -> tuple[Measured, Use | None, os.stat_result]:
    """The measure of an entry and whether somebody holds a lock on it, by one descriptor."""
    descriptor = os.open(item.path, DIRECTORY_FLAGS, dir_fd=top)
    try:
        use = None
        if is_locked(root, descriptor):
            use = Use("lock", "a process holds a lock (flock) on it")
        status = os.fstat(descriptor)
        if status.st_dev != os.fstat(top).st_dev or item.path in mounts:
            measured.mounted = item.path
        else:
            inside = frozenset(
                point[len(item.path) + 1 :] for point in mounts if is_inside(point, item.path)
            )
            measured = measure(descriptor, inside)
            if measured.mounted is not None:
                measured.mounted = f"{item.path}/{measured.mounted}"
        return measured, use, status
    finally:
        os.close(descriptor)


def _kind(mode: int) -> Literal["directory", "file", "symlink", "other"]:
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISREG(mode):
        return "file"
    return "symlink" if stat.S_ISLNK(mode) else "other"


def _future_problem(
    path: str, stamp: int | None, changed: float, changed_in: str, now: float
) -> Problem | None:
    if changed > now + _CLOCK_SKEW:
        where = f" ({changed_in})" if changed_in else ""
        return Problem(path, f"was changed in the future{where}, so it counts as new", False)
    if stamp is not None and stamp > now + _CLOCK_SKEW:
        return Problem(path, "has a stamp in the future, so it counts as new", False)
    return None


def busy_entries(root: Path) -> dict[str, Use]:
    """The uses of entries by processes that work inside, by every path that may be an entry's."""
    busy: dict[str, Use] = {}
    for place, who in processes_inside(root).items():
        top, _, rest = place.partition("/")
        use = Use("process", f"{who} works in it")
        busy.setdefault(top, use)
        if rest:
            busy.setdefault(f"{top}/{rest.partition('/')[0]}", use)
    return busy


def free_bytes(root: Path) -> int | None:
    """Bytes free for this user on the filesystem of `root` or of the nearest existing parent."""
    for directory in (root, *root.parents):
        if directory.exists():
            with contextlib.suppress(OSError):
                if hasattr(os, "statvfs"):
                    told = os.statvfs(directory)
                    return told.f_bavail * told.f_frsize
                import shutil

                return shutil.disk_usage(directory).free
            return None
    return None
