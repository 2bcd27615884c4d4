"""What there is: every entry of a root, measured, with who uses it and what keeps it."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from ...core.entry import Entry, Inventory, Problem, Use
from ...core.layout import SCRATCH, Layout, is_inside
from ...core.retention import WHOLE, Need
from ...errors import in_place, reason_of, without_remedy
from ..project.project import check_root, open_root
from ..root.leases import Leases
from ..root.listing import Found, list_leftovers, listing
from ..root.pinning import Pins
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.locks import is_locked
from ..system.mounts import mounts_below
from ..system.processes import processes_inside
from ..trees.measured import Inside, Measured, Packed
from ..trees.walk import Sharing, Unfinished, measure
from .inner import Within

if TYPE_CHECKING:
    from ..workers.crew import Crew, Link
    from ..workers.messages import Job

_CLOCK_SKEW: Final = 60.0
"""Seconds by which a network filesystem's clock may run ahead before a time counts as future."""

_ALONE_SECONDS: Final = 0.003
"""How long a scan goes on alone. What is done by then never was worth a worker."""

_WAITS_BELOW: Final = 0.7
"""The part of that time on a processor below which the disk is what a scan waits for."""

_LARGEST_BATCH: Final = 32
"""How many entries a worker is given at a time, at most."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the entries measured so far and the bytes in them."""

NeedOf: TypeAlias = Callable[[str], Need]
"""What has to be known of the entries of a category."""


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
    """All that `root` holds, measured, with who uses what; an empty inventory if it is missing.

    `now` is in seconds since 1970, `layout` says what an entry is, and `foreign_for` is as in a
    policy. What `need` does without is not looked for: such an entry is `partial`. Large roots are
    shared among forked processes, at most `workers` of them; without a number as many as serve, and
    none where the calling process has other threads. What comes out is the same. One unreadable
    entry is a problem in the inventory,
    not an error. Raises `StorageError` or `Refused` if the root itself cannot be read or trusted.
    """
    if not check_root(root):
        free, capacity = space_of(root)
        return Inventory(root=str(root), free=free, capacity=capacity)
    leases = Leases(root, foreign_for)
    found, problems = listing(root, leases, layout)
    if need is None or leases.has_unchecked:
        # The use of those that cannot be checked is guessed by their newest change.
        need = _all_of_it
    entries: list[Entry] = []
    inside: dict[str, Inside] = {}
    staying: set[str] = set()
    top = open_root(root)
    try:
        mounts = mounts_below(str(root))
        scanner = _Scanner(root, top, found, need, mounts)
        for item, looked in zip(found, scanner.look_at_all(progress, workers), strict=True):
            entry = _entry(item, layout, looked, now, problems, mounts)
            if entry is not None:
                entries.append(entry)
                inside[entry.path] = _inside(looked)
                if entry.partial and scanner.needs[entry.category].enough is not None:
                    staying.add(entry.path)
    finally:
        at.close(top)
    # Last, so that whoever made an entry that was listed has recorded it by now.
    leases.refresh()
    busy = busy_entries(root)
    pins = Pins(root)
    problems += pins.unclear(entry.path for entry in entries)
    free, capacity = space_of(root)
    within = Within(root)
    return Inventory(
        root=str(root),
        entries=tuple(
            within.protected(
                entry._replace(
                    use=(
                        leases.use_of(entry.path, now, entry.changed)
                        or entry.use
                        or busy.get(entry.path)
                    ),
                    pin=pins.of(entry.path),
                    made_by=leases.maker_of(entry.path),
                ),
                inside[entry.path],
                now,
                stays=entry.path in staying,
            )
            for entry in entries
        ),
        problems=tuple(problems),
        leftovers=tuple(list_leftovers(root)),
        free=free,
        capacity=capacity,
    )


def _all_of_it(category: str) -> Need:
    return WHOLE


class _Looked(NamedTuple):
    """What was seen of one entry; with a `failure` nothing else, and `mode` 0 if it vanished."""

    mode: int
    device: int = 0
    inode: int = 0
    is_locked: bool = False
    failure: str = ""
    measured: Packed = ()


class _Batch(NamedTuple):
    """A worker's job: the entries from `first` on, up to `end`."""

    first: int
    end: int


class _Part(NamedTuple):
    """Another job: a directory in an entry that somebody gave away, at the path `where`."""

    entry: int
    where: str


class _Answer(NamedTuple):
    """What a worker saw of an entry: all of it, or without a `looked` a part."""

    entry: int
    looked: _Looked | None
    measured: Packed


class _Scanner:
    """Looks at the entries of one root, alone or with forked workers, which have a copy of it."""

    def __init__(
        self, root: Path, top: int, found: Sequence[Found], need: NeedOf, mounts: frozenset[str]
    ) -> None:
        self.root = root
        self.top = top
        self.device = at.fstat(top).st_dev
        self.found = found
        self.mounts = mounts
        self.needs = {item.category: need(item.category) for item in found}
        self.over_at = float("inf")
        self.link: Link | None = None

    def look_at_all(self, progress: Progress | None, workers: int | None) -> list[_Looked]:
        """What is seen of each entry, in their order."""
        looked: list[_Looked] = []
        size = 0
        started, started_at_work = time.monotonic(), time.process_time()
        if workers != 1 and at.RELATIVE:
            self.over_at = started + _ALONE_SECONDS
        while len(looked) < len(self.found):
            try:
                looked.append(self.look(len(looked)))
                size += _size(looked[-1])
                if progress is not None:
                    progress(len(looked), size)
                spent = time.monotonic() - started
                left = len(self.found) - len(looked)
                if not self._is_over() or spent / len(looked) * left < _ALONE_SECONDS:
                    continue
            except Unfinished:
                spent = time.monotonic() - started
            from ..workers import crew

            self.over_at = float("inf")
            if crew.may_fork():
                waits = time.process_time() - started_at_work < _WAITS_BELOW * spent
                count = workers or (crew.MOST if waits else min(crew.MOST, crew.processors()))
                return self._look_together(looked, crew.Crew(self.work, fork=True), count, progress)
        return looked

    def _is_over(self) -> bool:
        return time.monotonic() > self.over_at

    def _look_together(
        self, looked: list[_Looked], crew: Crew, count: int, progress: Progress | None
    ) -> list[_Looked]:
        from ..workers.messages import Job, Kind

        parts: dict[int, list[Measured]] = {}
        heads: dict[int, _Looked] = dict(enumerate(looked))
        lost: set[int] = set()
        following, end = len(looked), len(self.found)
        size = sum(map(_size, looked))
        try:
            crew.set_level(count)
            while len(crew) and (following < end or crew.is_busy):
                while following < end and crew.room > 0:
                    batch = max(1, min(_LARGEST_BATCH, (end - following) // (4 * count)))
                    crew.put(Job(following, _Batch(following, min(end, following + batch))))
                    following += batch
                for said in crew.listen(1.0):
                    if said.kind is Kind.DEATH:
                        lost |= _entries_of(said.job)
                        continue
                    for answer in map(_Answer._make, said.message):
                        if answer.looked is not None:
                            heads[answer.entry] = _Looked._make(answer.looked)
                        else:
                            part = Measured.unpack(answer.measured)
                            parts.setdefault(answer.entry, []).append(part)
                        size += answer.measured[_SIZE] if answer.measured else 0
                    if progress is not None:
                        progress(len(heads), size)
        finally:
            crew.close(now=True)
        for index in range(len(looked), end):
            if index in lost or index not in heads:
                heads[index] = self.look(index)
            elif index in parts:
                whole = Measured.unpack(heads[index].measured)
                for part in parts[index]:
                    whole.add(part)
                heads[index] = heads[index]._replace(measured=whole.pack())
        return [heads[index] for index in range(end)]

    def work(self, link: Link) -> None:
        """What a worker does: batches of entries, and directories that others gave away."""
        self.link = link
        for message, descriptor in link.jobs():
            if descriptor < 0:
                heads = ((index, self.look(index)) for index in range(*_Batch._make(message)))
                link.answer(tuple(_Answer(index, head, head.measured) for index, head in heads))
            else:
                part = _Part._make(message)
                measured = self._measure(part.entry, descriptor, part.where)
                link.answer((_Answer(part.entry, None, measured.pack()),))

    def look(self, index: int) -> _Looked:
        """What is seen of one entry. Raises `Unfinished` when its time is over."""
        item = self.found[index]
        try:
            status = at.stat(item.path, dir_fd=self.top, follow_symlinks=False)
            measured = _measured_itself(status)
            if not stat.S_ISDIR(status.st_mode):
                return _Looked(
                    status.st_mode, status.st_dev, status.st_ino, measured=measured.pack()
                )
            locked = False
            try:
                descriptor = at.open(item.path, DIRECTORY_FLAGS, dir_fd=self.top)
            except PermissionError as error:
                measured.problems.append(("", reason_of(error)))
            else:
                try:
                    locked = is_locked(self.root, descriptor)
                    status = at.fstat(descriptor)
                    measured = self._look_inside(index, descriptor, status)
                finally:
                    at.close(descriptor)
        except FileNotFoundError:
            return _Looked(0, failure="vanished while it was being looked at")
        except OSError as error:
            return _Looked(stat.S_IFDIR, failure=reason_of(error))
        return _Looked(
            status.st_mode, status.st_dev, status.st_ino, locked, measured=measured.pack()
        )

    def _look_inside(self, index: int, descriptor: int, status: os.stat_result) -> Measured:
        item = self.found[index]
        mounted = self._mounted_in(item)
        measured = _measured_itself(status)
        if status.st_dev == self.device and "" not in mounted:
            if self.needs[item.category].inside:
                return self._measure(index, descriptor, "")
            if not mounted:
                measured.partial = True
                return measured
        measured.mounted = min(mounted, default="")
        return measured

    def _mounted_in(self, item: Found) -> frozenset[str]:
        """Where in the entry other filesystems are mounted: "" is itself."""
        below = len(item.path) + 1
        return frozenset(point[below:] for point in self.mounts if is_inside(point, item.path))

    def _measure(self, index: int, descriptor: int, where: str) -> Measured:
        item = self.found[index]
        enough = self.needs[item.category].enough
        link = self.link
        return measure(
            descriptor,
            self._mounted_in(item),
            where=where,
            enough_ns=None if enough is None else int(enough * 1e9),
            is_over=self._is_over if self.over_at < float("inf") else None,
            sharing=None
            if link is None
            else Sharing(link.is_wanted, lambda given, path: link.give(_Part(index, path), given)),
        )


def _entries_of(job: Job) -> set[int]:
    """The entries that a worker was at when it died."""
    if job.descriptor >= 0:
        return {_Part._make(job.message).entry}
    return set(range(*_Batch._make(job.message)))


_SIZE: Final = Measured.__slots__.index("size")


def _size(looked: _Looked) -> int:
    return int(looked.measured[_SIZE]) if looked.measured else 0


def _inside(looked: _Looked) -> Inside:
    return Measured.unpack(looked.measured).inside if looked.measured else Inside()


def _measured_itself(status: os.stat_result) -> Measured:
    """What a file is, or a directory into which nobody looks."""
    measured = Measured()
    measured.size = status.st_blocks * 512
    measured.apparent = status.st_size
    measured.changed_ns = status.st_mtime_ns
    if stat.S_ISDIR(status.st_mode):
        measured.directories = 1
        return measured
    measured.files = 1
    if status.st_nlink > 1:
        key = (status.st_dev, status.st_ino)
        measured.links[key] = (status.st_nlink, 1, measured.size, measured.apparent)
    return measured


def _entry(
    item: Found,
    layout: Layout,
    looked: _Looked,
    now: float,
    problems: list[Problem],
    mounts: frozenset[str],
) -> Entry | None:
    """The entry that was seen, if any; what was wrong with it is added to `problems`."""
    if looked.failure:
        problems.append(Problem(item.path, looked.failure, blocking=looked.mode != 0))
        return None
    if layout.category and not layout.holds(item.path, is_directory=stat.S_ISDIR(looked.mode)):
        return None  # it was replaced since it was listed
    measured = Measured.unpack(looked.measured)
    unreadable: str | None = None
    for where, what in measured.problems:
        problem = in_place(what, where)
        unreadable = unreadable or without_remedy(problem)
        problems.append(Problem(item.path, problem))
    label, stamp = layout.read_name(item.path.rpartition("/")[2])
    changed = measured.changed_ns / 1e9
    future = _future_problem(item.path, stamp, changed, measured.changed_in, now)
    if future is not None:
        problems.append(future)
    mounted = None if measured.mounted is None else f"{item.path}/{measured.mounted}".rstrip("/")
    category = item.path.rpartition("/")[0]
    if category in mounts:
        mounted = category  # nothing can be moved out of it, so no clean takes what is in there
    return Entry(
        path=item.path,
        category=item.category,
        label=label,
        stamp=stamp,
        kind=_kind(looked.mode),
        size=measured.size,
        apparent=measured.apparent,
        shared=measured.shared,
        files=measured.files,
        directories=measured.directories,
        changed=changed,
        changed_in=measured.changed_in,
        use=Use("lock", "a process holds a lock (flock) on it") if looked.is_locked else None,
        device=looked.device,
        inode=looked.inode,
        unreadable=unreadable,
        future=future is not None,
        mounted=mounted,
        partial=measured.partial,
    )


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
        use = Use("process", who)
        busy.setdefault(top, use)
        if rest:
            busy.setdefault(f"{top}/{rest.partition('/')[0]}", use)
    return busy


def space_of(root: Path) -> tuple[int | None, int | None]:
    """Bytes free for this user on the filesystem of `root` or of the nearest existing parent, and
    those with the used ones: what `df` takes its percentage of.
    """
    for directory in (root, *root.parents):
        if directory.exists():
            with contextlib.suppress(OSError):
                if hasattr(os, "statvfs"):
                    told = os.statvfs(directory)
                    used = told.f_blocks - told.f_bfree
                    return told.f_bavail * told.f_frsize, (used + told.f_bavail) * told.f_frsize
                import shutil

                usage = shutil.disk_usage(directory)
                return usage.free, usage.used + usage.free
            break
    return None, None


def free_bytes(root: Path) -> int | None:
    """Bytes free for this user on the filesystem of `root` or of the nearest existing parent."""
    return space_of(root)[0]
