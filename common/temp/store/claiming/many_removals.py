"""Many removals at once: alone while there is little to do, then with workers.

The workers only help. Each gets an open directory and deletes what it can in it. A final removal by
the leader deletes or reports what is left of the tree: empty directories, and anything that could
not be deleted. So a worker that dies costs only time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..trees.removal import WHOLE, Part, Removal
from ..trees.removed import Removed
from ..workers.pace import Pace
from .claim import Held

if TYPE_CHECKING:
    from ..workers.crew import Crew, Link

_ALONE_SECONDS: Final = 0.015
"""How long a sweep deletes alone before it considers workers."""

_TRIAL_SECONDS: Final = 0.002
"""How long the leader works on a tree before it hands it to a worker: for a tree of a few files,
handing it over takes longer than deleting it."""

_TELL_SECONDS: Final = 0.01
"""How often a worker reports progress, which also shows it whether the leader is alive."""

_LISTEN_SECONDS: Final = 0.05

Freed = Callable[[int, int], None]
"""Called with the number of files and directories deleted so far, and the bytes freed."""

T = TypeVar("T", bound=Held)


class _Told(NamedTuple):
    """What a worker removed since its last report."""

    freed_bytes: int
    files: int
    directories: int
    links: dict[tuple[int, int], tuple[int, int, int]]
    is_finished: bool


class _UnderWay(Generic[T]):
    def __init__(self, target: T) -> None:
        self.target = target
        self.removed = Removed()


class Remover:
    """Deletes claimed entries. At most `workers` help; 1 means none, `None` as many as help."""

    def __init__(self, workers: int | None = None, on_freed: Freed | None = None) -> None:
        self._most = workers
        self._on_freed = on_freed
        self._alone_until = time.monotonic() + _ALONE_SECONDS
        self._may_share = workers != 1 and at.RELATIVE
        self._done = 0
        self._freed = 0
        self._links = Removed()
        self._crew: Crew | None = None
        self._pace: Pace | None = None
        self._under_way: dict[int, _UnderWay[Any]] = {}
        self._waiting: Callable[[], Iterable[Held]] = tuple

    @property
    def freed_bytes(self) -> int:
        """Bytes freed so far, including those of half-deleted trees."""
        return self._freed

    def remove(
        self, targets: Iterable[T], waiting: Callable[[], Iterable[Held]] = tuple
    ) -> Generator[tuple[T, Removed], None, None]:
        """Delete each of `targets`, and yield it with its result as soon as it is done.

        Targets are taken from the iterable as they are needed, a few ahead; `waiting` returns those
        claimed already. Anything that could not be deleted is listed in the failures, and stays
        where it was. If the generator is closed early, some targets are half-deleted.
        """
        self._waiting = waiting
        source = iter(targets)
        is_dry = False
        under_way: dict[int, _UnderWay[T]] = {}
        self._under_way = under_way
        key = 0
        try:
            while not is_dry or under_way:
                while not is_dry and self._has_room():
                    target = next(source, None)
                    if target is None:
                        is_dry = True
                        break
                    key += 1
                    work = under_way[key] = _UnderWay(target)
                    if self._begin(work, key):
                        del under_way[key]
                        yield target, self._count(work.removed)
                if under_way:
                    yield from self._listen(under_way)
        finally:
            if self._crew is not None:
                # When closed early, stop the workers at once; otherwise they have nothing to do.
                self._crew.close(now=bool(under_way))
                self._crew = None

    # -- alone --------------------------------------------------------------------------------

    def _begin(self, work: _UnderWay[T], key: int) -> bool:
        """Begin a removal. Returns whether it is done; if not, a worker has the rest."""
        removed = work.removed
        is_gone = work.target.remove_plain(removed)
        if is_gone or removed.files:
            self._done += removed.files + removed.directories
            self._freed += removed.freed_bytes
            if self._on_freed is not None:
                self._on_freed(self._done, self._freed)
        if is_gone:
            return True
        until = float("inf")
        if self._may_share:
            until = max(self._alone_until, time.monotonic() + _TRIAL_SECONDS)
        if self._remove(work, until):
            return True
        if self._hand_over(work, key):
            return False
        return self._remove(work, float("inf"))

    def _remove(self, work: _UnderWay[T], until: float) -> bool:
        """Delete it in this process. Returns whether that was finished before `until`."""
        done, freed = self._done, self._freed

        def pulse(removal: Removal) -> bool:
            removed = removal.removed
            self._done = done + removed.files + removed.directories
            self._freed = freed + removed.freed_bytes
            if self._on_freed is not None:
                self._on_freed(self._done, self._freed)
            return time.monotonic() < until

        removal = Removal(pulse)
        is_finished = removal.remove(work.target.holding, work.target.held)
        self._done, self._freed = done, freed
        self._add(work, removal.removed)
        if self._on_freed is not None:
            self._on_freed(self._done, self._freed)
        if not is_finished:
            work.removed.failures.clear()  # the final removal finds them again
        return is_finished

    def _hand_over(self, work: _UnderWay[T], key: int) -> bool:
        """Queue the rest for a worker; false if that is not possible."""
        from ..workers.crew import MOST, Crew, may_fork, processors
        from ..workers.messages import Job

        try:
            if self._crew is None:
                self._pace = Pace(min(processors(), self._most or MOST), self._most or MOST)
                self._crew = Crew(_work, fork=may_fork())
            self._set_level()
            descriptor = at.open(work.target.held, DIRECTORY_FLAGS, dir_fd=work.target.holding)
        except OSError:
            return False
        self._crew.put(Job(key, WHOLE, descriptor))
        return True

    def _has_room(self) -> bool:
        """Whether another tree can be started."""
        if self._crew is not None and not len(self._crew) and not self._crew.is_busy:
            # No worker could be started, or all have died: continue without.
            self._may_share = False
            self._crew.close()
            self._crew = None
        return self._crew is None or self._crew.room > 0

    # -- together -----------------------------------------------------------------------------

    def _set_level(self) -> None:
        assert self._crew is not None
        assert self._pace is not None
        held = (*(work.target for work in self._under_way.values()), *self._waiting())
        locks = list({lock for one in held for lock in one.locks})
        self._crew.set_level(self._pace.hear(time.monotonic(), self._done), locks)

    def _listen(self, under_way: dict[int, _UnderWay[T]]) -> Iterator[tuple[T, Removed]]:
        from ..workers.messages import Kind

        crew = self._crew
        assert crew is not None
        ended: set[int] = set()
        for said in crew.listen(_LISTEN_SECONDS):
            key = said.job.key
            if said.message:
                told = _Told._make(said.message)
                removed = Removed(told.freed_bytes, told.files, told.directories, [], told.links)
                self._add(under_way[key], removed)
                if said.kind is Kind.RESULT and not told.is_finished:
                    with suppress(OSError):  # if it fails, the final removal deletes the rest
                        crew.put(said.job._replace(descriptor=os.dup(said.job.descriptor)))
            if said.kind is not Kind.PROGRESS:
                ended.add(key)
        if self._on_freed is not None:
            self._on_freed(self._done, self._freed)
        for key in ended:
            if not crew.has(key):
                work = under_way.pop(key)
                self._remove(work, float("inf"))
                yield work.target, self._count(work.removed)
        self._set_level()

    def _add(self, work: _UnderWay[T], removed: Removed) -> None:
        self._done += removed.files + removed.directories
        before = work.removed.freed_bytes
        work.removed.add(removed)  # may free a file whose other hard links workers removed
        self._freed += work.removed.freed_bytes - before

    def _count(self, removed: Removed) -> Removed:
        """`removed`, plus the bytes freed because hard links in other trees are gone as well."""
        self._links.freed_bytes = 0
        links, removed.links = removed.links, {}
        for key, (gone, most, size) in links.items():
            self._links.note_link(key, gone, most, size)
        removed.freed_bytes += self._links.freed_bytes
        self._freed += self._links.freed_bytes
        return removed


def _work(link: Link) -> None:
    """The main function of a worker: empty the directories that it is given."""
    told = 0.0
    before = Removed()

    def message(removed: Removed, is_finished: bool) -> _Told:
        links, removed.links = removed.links, {}
        more = _Told(
            removed.freed_bytes - before.freed_bytes,
            removed.files - before.files,
            removed.directories - before.directories,
            links,
            is_finished,
        )
        before.freed_bytes, before.files = removed.freed_bytes, removed.files
        before.directories = removed.directories
        removed.failures.clear()  # the leader finds and reports them again
        return more

    def pulse(removal: Removal) -> bool:
        nonlocal told
        if link.is_wanted():
            given = removal.give_away()
            if given is not None:
                descriptor, part = given
                with suppress(OSError):
                    link.give(part, descriptor)
                at.close(descriptor)
        now = time.monotonic()
        if now - told > _TELL_SECONDS:
            told = now
            link.tell(message(removal.removed, False))
        return not link.is_too_many()

    for part, descriptor in link.jobs():
        before = Removed()
        removal = Removal(pulse)
        is_finished = removal.empty(descriptor, Part._make(part))
        link.answer(message(removal.removed, is_finished))
