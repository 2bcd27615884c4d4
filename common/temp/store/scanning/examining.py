"""Examines every entry of a root: alone while there is little to do, then with workers."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, TypeAlias

from ...core.layouts import is_inside
from ...core.named_tuple import NamedTuple
from ...core.policy import Need
from ...errors import reason_of
from ..root.arrivals import Arrivals
from ..root.listing import Found
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.locks import are_locked
from ..trees.measured import NOTHING, Inside, Measured
from ..trees.walk import Sharing, Unfinished, measure
from .when_to_share import Alone

_OPENED_AHEAD: Final = 32
"""How many entries are opened before the first of them is examined."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the entries measured so far and the bytes in them."""

NeedOf: TypeAlias = Callable[[str], Need]
"""Returns what has to be known about the entries of a category."""


class Looked(NamedTuple):
    """The facts about one entry. With a `failure`, only `mode` is set: to 0 if it vanished."""

    mode: int
    device: int = 0
    inode: int = 0
    ctime_ns: int = 0
    is_locked: bool = False
    failure: str = ""
    measured: Measured | None = None

    @property
    def size(self) -> int:
        """The measured bytes on disk."""
        return 0 if self.measured is None else self.measured.size

    @property
    def inside(self) -> Inside:
        """The roots and repositories found in it."""
        return NOTHING if self.measured is None else self.measured.inside


class Looking:
    """Examines the entries of one root, alone or with forked workers, which have a copy of this."""

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
        """Modification times after this are in the future."""
        self.needs = {category: need(category) for category in {one.category for one in found}}
        self.alone: Alone | None = None
        """Set while the scan works alone but may get workers."""
        self.sharing: Callable[[int], Sharing] | None = None
        """Set in a worker: returns how to give away parts of an entry."""

    def at_all(self, progress: Progress | None, workers: int | None) -> list[Looked]:
        """The facts about all entries, in their order."""
        looked: list[Looked] = []
        size = 0
        if workers != 1 and at.RELATIVE:
            self.alone = Alone(len(self.found))
        while len(looked) < len(self.found):
            alone = self.alone
            with suppress(Unfinished), closing(self._looks(len(looked))) as looks:
                for one in looks:
                    looked.append(one)
                    if progress is not None:
                        size += one.size
                        progress(len(looked), size)
                    if alone is not None:
                        alone.has_seen(len(looked))
                        if alone.is_over():
                            break
            if alone is None or len(looked) == len(self.found):
                continue
            self.alone = None
            # If entries are not measured inside, passing results takes longer than getting them.
            if alone.waits or any(need.inside for need in self.needs.values()):
                from ..workers import crew

                if crew.may_fork():
                    from .examining_together import look_together

                    most = crew.MOST if alone.waits else min(crew.MOST, crew.processors())
                    return look_together(self, looked, workers or most, progress)
        return looked

    def _looks(self, first: int) -> Generator[Looked, None, None]:
        """The facts about each entry from the `first` on. Raises `Unfinished`, as `_look` does."""
        for start in range(first, len(self.found), _OPENED_AHEAD):
            yield from self.look_at(range(start, min(start + _OPENED_AHEAD, len(self.found))))

    def look_at(self, indices: Sequence[int]) -> Iterator[Looked]:
        """The facts about these entries. All are opened first, to check their locks in one go."""
        opened: dict[int, int] = {}
        try:
            for index in indices:
                try:  # noqa: SIM105 - for every entry, and `suppress` takes longer
                    opened[index] = at.open(
                        self.found[index].path, DIRECTORY_FLAGS, dir_fd=self.top
                    )
                except OSError:
                    pass  # `_look_alone` reports it
            locked = dict(zip(opened, are_locked(self.root, tuple(opened.values())), strict=True))
            for index in indices:
                status = self._status_of(index, opened[index]) if index in opened else None
                if status is not None:
                    yield self._look(index, opened[index], status, locked[index])
                else:
                    yield self._look_alone(index)
                if index in opened:
                    at.close(opened.pop(index))
        finally:
            for descriptor in opened.values():
                at.close(descriptor)

    def _status_of(self, index: int, descriptor: int) -> os.stat_result | None:
        """The status of the open entry; `None` if the entry is gone or was replaced."""
        try:
            status = at.fstat(descriptor)
            there = at.stat(self.found[index].path, dir_fd=self.top, follow_symlinks=False)
        except OSError:
            return None
        return status if os.path.samestat(status, there) else None

    def _look(self, index: int, descriptor: int, status: os.stat_result, is_locked: bool) -> Looked:
        """The facts about an open entry. Raises `Unfinished` when the time is up."""
        try:
            measured = self._look_inside(index, descriptor, status)
        except OSError as error:
            return _failed(error)
        return _looked(status, measured, is_locked=is_locked)

    def _look_alone(self, index: int) -> Looked:
        """The facts about an entry that could not be opened with the others, such as a file. Raises
        `Unfinished` when the time is up.
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
            is_locked = are_locked(self.root, (descriptor,))[0]
            return self._look(index, descriptor, at.fstat(descriptor), is_locked)
        except OSError as error:
            return _failed(error)
        finally:
            at.close(descriptor)

    def _look_inside(self, index: int, descriptor: int, status: os.stat_result) -> Measured:
        item = self.found[index]
        mounted = self._mounted_in(item)
        is_here = status.st_dev == self.device and "" not in mounted
        if is_here:
            known = self.arrivals.of(item.path, status.st_ino, status.st_ctime_ns)
            if known is not None and known.unfinished:
                # Measure all: a clean itself changed some of it, so a recent change proves nothing.
                return measure(descriptor, mounted, until_ns=self.until_ns)
            if self.needs[item.category].inside:
                return self.measure(index, descriptor, "")
        measured = Measured.of(status, self.until_ns)
        if is_here and not mounted:
            measured.partial = True
        else:
            measured.mounted = min(mounted, default="")
        return measured

    def _mounted_in(self, item: Found) -> frozenset[str]:
        """The mount points in the entry, relative to it; "" is the entry itself."""
        if not self.mounts:
            return self.mounts  # the usual case
        below = len(item.path) + 1
        return frozenset(point[below:] for point in self.mounts if is_inside(point, item.path))

    def measure(self, index: int, descriptor: int, where: str) -> Measured:
        """The measure of the entry, or of the directory `where` in it, which is open."""
        item = self.found[index]
        enough = self.needs[item.category].enough
        return measure(
            descriptor,
            self._mounted_in(item),
            where=where,
            enough_ns=None if enough is None else int(enough * 1e9),
            until_ns=self.until_ns,
            is_over=None if self.alone is None else self.alone.is_over,
            sharing=None if self.sharing is None else self.sharing(index),
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
        return Looked(0, failure="vanished while it was being looked at")
    return Looked(stat.S_IFDIR, failure=reason_of(error))
