"""Looking at every entry of a root: alone while there is little to do, then with workers."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ...core.layouts import is_inside
from ...core.named_tuple import NamedTuple
from ...core.policy import Need
from ...errors import reason_of
from ..root.arrivals import Arrivals
from ..root.listing import Found
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.locks import are_locked
from ..trees.measured import NOTHING, Inside, Measured, Packed
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

_OPENED_AHEAD: Final = 32
"""How many entries are opened before the first of them is looked into."""

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
    measured: Measured | None = None

    @property
    def size(self) -> int:
        """Its bytes on disk, as far as they were measured."""
        return 0 if self.measured is None else self.measured.size

    @property
    def inside(self) -> Inside:
        """The roots and repositories that were seen in it."""
        return NOTHING if self.measured is None else self.measured.inside


class _Batch(NamedTuple):
    """A worker's job: the entries from `first` on, up to `end`."""

    first: int
    end: int


class _Part(NamedTuple):
    """Another job: a directory in an entry that somebody gave away, at the path `where`."""

    entry: int
    where: str


class _Answer(NamedTuple):
    """What a worker saw of an entry: its `head`, a `Looked` without the measure, or without one a
    part of it; and the measure, if there is any.
    """

    entry: int
    head: tuple[Any, ...] | None
    measured: Packed | None


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
        self.needs = {category: need(category) for category in {one.category for one in found}}
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
            with suppress(Unfinished), closing(self._looks(len(looked))) as looks:
                for one in looks:
                    looked.append(one)
                    if progress is not None:
                        size += one.size
                        progress(len(looked), size)
                    if self._is_over():
                        spent = time.monotonic() - started
                        left = len(self.found) - len(looked)
                        if spent / len(looked) * left >= _ALONE_SECONDS:
                            break
            if self.alone_since is None or len(looked) == len(self.found):
                continue
            self.alone_since = None
            spent = time.monotonic() - started
            waits = time.process_time() - started_at_work < _WAITS_BELOW * spent
            # Where nobody looks into entries, it takes longer to tell of them than to look.
            if waits or any(need.inside for need in self.needs.values()):
                from ..workers import crew

                if crew.may_fork():
                    count = workers or (crew.MOST if waits else min(crew.MOST, crew.processors()))
                    together = crew.Crew(self.work, fork=True)
                    return self._look_together(looked, together, count, progress)
        return looked

    def _looks(self, first: int) -> Generator[Looked, None, None]:
        """What is seen of each entry from the `first` on. Raises `Unfinished` as `_look`."""
        for start in range(first, len(self.found), _OPENED_AHEAD):
            yield from self._look_at(range(start, min(start + _OPENED_AHEAD, len(self.found))))

    def _look_at(self, indices: Sequence[int]) -> Iterator[Looked]:
        """What is seen of these entries. All are opened first, to see in one turn which of them are
        locked.
        """
        opened: dict[int, int] = {}
        try:
            for index in indices:
                try:  # noqa: SIM105 - for every entry, and `suppress` takes longer
                    opened[index] = at.open(
                        self.found[index].path, DIRECTORY_FLAGS, dir_fd=self.top
                    )
                except OSError:
                    pass  # the look itself tells of it
            locked = dict(zip(opened, are_locked(self.root, tuple(opened.values())), strict=True))
            for index in indices:
                if index in opened:
                    yield self._look(index, opened[index], locked[index])
                    at.close(opened.pop(index))
                else:
                    yield self._look_alone(index)
        finally:
            for descriptor in opened.values():
                at.close(descriptor)

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
        size = sum(one.size for one in looked)
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
                        measured = answer.measured and Measured.unpack(answer.measured)
                        size += measured.size if measured else 0
                        if answer.head is not None:
                            heads[answer.entry] = Looked._make((*answer.head, measured or None))
                        elif measured:
                            parts.setdefault(answer.entry, []).append(measured)
                    if progress is not None:
                        progress(len(heads), size)
        finally:
            crew.close(now=True)
        for index in range(len(looked), end):
            if index in lost or index not in heads:
                (heads[index],) = self._look_at((index,))
            elif whole := heads[index].measured:
                for part in parts.get(index, ()):
                    whole.add(part)
        return [heads[index] for index in range(end)]

    def work(self, link: Link) -> None:
        """What a worker does: batches of entries, and directories that others gave away."""
        self.link = link
        for message, descriptor in link.jobs():
            if descriptor < 0:
                indices = range(*_Batch._make(message))
                looks = zip(indices, self._look_at(indices), strict=True)
                link.answer(tuple(_Answer(index, one[:-1], _packed(one)) for index, one in looks))
            else:
                part = _Part._make(message)
                measured = self._measure(part.entry, descriptor, part.where)
                link.answer((_Answer(part.entry, None, measured.pack()),))

    def _look(self, index: int, descriptor: int, is_locked: bool) -> Looked:
        """What is seen of an open entry. Raises `Unfinished` when its time is over."""
        try:
            status = at.fstat(descriptor)
            if not status.st_nlink:
                return _VANISHED  # it was removed since it was opened
            measured = self._look_inside(index, descriptor, status)
        except OSError as error:
            return _failed(error)
        return _looked(status, measured, is_locked=is_locked)

    def _look_alone(self, index: int) -> Looked:
        """What is seen of an entry that could not be opened with others, as no file can be. Raises
        `Unfinished` when its time is over.
        """
        path = self.found[index].path
        try:
            status = at.stat(path, dir_fd=self.top, follow_symlinks=False)
            measured = Measured.of(status, self.until_ns)
            if not stat.S_ISDIR(status.st_mode):
                return _looked(status, measured)
            try:
                descriptor = at.open(path, DIRECTORY_FLAGS, dir_fd=self.top)
            except PermissionError as error:
                measured.problems.append(("", reason_of(error)))
                return _looked(status, measured)
        except OSError as error:
            return _failed(error)
        try:
            return self._look(index, descriptor, are_locked(self.root, (descriptor,))[0])
        finally:
            at.close(descriptor)

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
        if not self.mounts:
            return self.mounts  # as for most roots
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
        measured=measured,
    )


def _failed(error: OSError) -> Looked:
    if isinstance(error, FileNotFoundError):
        return _VANISHED
    return Looked(stat.S_IFDIR, failure=reason_of(error))


_VANISHED: Final = Looked(0, failure="vanished while it was being looked at")


def _packed(looked: Looked) -> Packed | None:
    return None if looked.measured is None else looked.measured.pack()


def _entries_of(job: Job) -> set[int]:
    """The entries that a worker was at when it died."""
    if job.descriptor >= 0:
        return {_Part._make(job.message).entry}
    return set(range(*_Batch._make(job.message)))
