"""Looking at every entry of a root: alone while there is little to do, then with workers."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from ...core.layouts import is_inside
from ...core.named_tuple import NamedTuple
from ...core.policy import Need
from ...errors import reason_of
from ..root.arrivals import Arrivals
from ..root.listing import Found
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.locks import is_locked
from ..trees.measured import Inside, Measured, Packed
from ..trees.walk import Sharing, Unfinished, measure

if TYPE_CHECKING:
    from ..workers.crew import Crew, Link
    from ..workers.messages import Job

_ALONE_SECONDS: Final = 0.015
"""How long a scan works alone: less takes longer with workers, which have to be started."""

_WAITED_SECONDS: Final = 0.05
"""How long it goes on alone where it does not work: it waits for a slow disk, or for others that
work, and to these it would only add.
"""

_WAITS_BELOW: Final = 0.7
"""The part of that time on a processor below which the disk is what a scan waits for."""

_LARGEST_BATCH: Final = 32
"""How many entries a worker is given at a time, at most."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the entries measured so far and the bytes in them."""

NeedOf: TypeAlias = Callable[[str], Need]
"""What has to be known of the entries of a category."""


class Looked(NamedTuple):
    """What was seen of one entry; with a `failure` nothing else, and `mode` 0 if it vanished."""

    mode: int
    device: int = 0
    inode: int = 0
    ctime_ns: int = 0
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
    looked: Looked | None
    measured: Packed


class Looking:
    """Looks at the entries of one root, alone or with forked workers, which have a copy of it."""

    def __init__(
        self,
        root: Path,
        top: int,
        found: Sequence[Found],
        need: NeedOf,
        mounts: frozenset[str],
        arrivals: Arrivals,
        until: float,
    ) -> None:
        self.root = root
        self.top = top
        self.device = at.fstat(top).st_dev
        self.found = found
        self.mounts = mounts
        self.arrivals = arrivals
        self.until_ns = int(until * 1e9)
        """What is modified after that is in the future."""
        self.needs = {item.category: need(item.category) for item in found}
        self.alone_since: tuple[float, float] | None = None
        """When a scan began alone that may get workers, by the clock and in processor time."""
        self.link: Link | None = None

    def at_all(self, progress: Progress | None, workers: int | None) -> list[Looked]:
        """What is seen of each entry, in their order."""
        looked: list[Looked] = []
        size = 0
        started, started_at_work = time.monotonic(), time.process_time()
        if workers != 1 and at.RELATIVE:
            self.alone_since = started, started_at_work
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

            self.alone_since = None
            if crew.may_fork():
                waits = time.process_time() - started_at_work < _WAITS_BELOW * spent
                count = workers or (crew.MOST if waits else min(crew.MOST, crew.processors()))
                return self._look_together(looked, crew.Crew(self.work, fork=True), count, progress)
        return looked

    def _is_over(self) -> bool:
        if self.alone_since is None:
            return False
        spent = time.monotonic() - self.alone_since[0]
        if spent < _ALONE_SECONDS:
            return False
        worked = time.process_time() - self.alone_since[1]
        return worked > _ALONE_SECONDS or spent > _WAITED_SECONDS

    def _look_together(
        self, looked: list[Looked], crew: Crew, count: int, progress: Progress | None
    ) -> list[Looked]:
        from ..workers.messages import Job, Kind

        parts: dict[int, list[Measured]] = {}
        heads: dict[int, Looked] = dict(enumerate(looked))
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
                            heads[answer.entry] = Looked._make(answer.looked)
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

    def look(self, index: int) -> Looked:
        """What is seen of one entry. Raises `Unfinished` when its time is over."""
        item = self.found[index]
        try:
            status = at.stat(item.path, dir_fd=self.top, follow_symlinks=False)
            measured = Measured.of(status, self.until_ns)
            if not stat.S_ISDIR(status.st_mode):
                return _looked(status, measured)
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
            return Looked(0, failure="vanished while it was being looked at")
        except OSError as error:
            return Looked(stat.S_IFDIR, failure=reason_of(error))
        return _looked(status, measured, is_locked=locked)

    def _look_inside(self, index: int, descriptor: int, status: os.stat_result) -> Measured:
        item = self.found[index]
        mounted = self._mounted_in(item)
        measured = Measured.of(status, self.until_ns)
        if status.st_dev == self.device and "" not in mounted:
            known = self.arrivals.of(item.path, status.st_ino, status.st_ctime_ns)
            if known is not None and known.unfinished:
                # What a clean has changed itself is not enough, and what others have is wanted.
                return measure(descriptor, self._mounted_in(item), until_ns=self.until_ns)
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
            until_ns=self.until_ns,
            is_over=None if self.alone_since is None else self._is_over,
            sharing=None
            if link is None
            else Sharing(link.is_wanted, lambda given, path: link.give(_Part(index, path), given)),
        )


def _looked(status: os.stat_result, measured: Measured, *, is_locked: bool = False) -> Looked:
    return Looked(
        status.st_mode,
        status.st_dev,
        status.st_ino,
        status.st_ctime_ns,
        is_locked,
        measured=measured.pack(),
    )


def _entries_of(job: Job) -> set[int]:
    """The entries that a worker was at when it died."""
    if job.descriptor >= 0:
        return {_Part._make(job.message).entry}
    return set(range(*_Batch._make(job.message)))


_inside = itemgetter(*map(Measured.__slots__.index, ("roots", "repositories", "unread")))
_SIZE: Final = Measured.__slots__.index("size")


def _size(looked: Looked) -> int:
    return int(looked.measured[_SIZE]) if looked.measured else 0


def inside_of(looked: Looked) -> Inside:
    """The roots and repositories that were seen in an entry."""
    if not looked.measured:
        return Inside()
    roots, repositories, unread = _inside(looked.measured)
    return Inside(tuple(roots), tuple(repositories), unread)
