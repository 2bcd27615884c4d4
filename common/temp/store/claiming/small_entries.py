"""Claims small entries together, with few system calls for each.

Each of these claims has the guarantees of a single claim. If anything is unexpected, the entry
stays in its place and is then claimed alone, which reports the obstacle.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ...core.entry import Entry
from ...core.layouts import CONDEMNED, HOLDING, STORE, held_name
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.locks import lock_directories
from ..trees.plain import remove_files
from ..trees.removed import Removed
from .area import HoldingArea
from .batch import batch_name, make_batch
from .claim import Claim, opened


class Opened(NamedTuple):
    """An open entry, which is locked unless another process holds a lock on it."""

    entry: Entry
    directory: int
    """Its open parent directory."""
    descriptor: int
    status: os.stat_result


class Small(Claim):
    """A claimed entry that holds a few files, claimed with others in a batch."""

    def __init__(self, batch: Batch, one: Opened, names: list[str], held: str) -> None:
        area = batch.area
        super().__init__(area.root, area.top, one.entry.path, one.directory, batch.stack)
        self.entry = one.entry
        self.holding, self.held, self.batch = batch.directory, held, batch.name
        self.locks = (batch.directory, one.descriptor)
        self.changed = one.entry.changed
        self.before = one.status
        self._of = batch
        self._descriptor = one.descriptor
        self._names = names
        self._is_begun = False

    def remove_plain(self, removed: Removed) -> bool:
        """Delete the files that were found in it, and the entry itself if it is then empty."""
        self._is_begun = True
        blocks = self.before.st_blocks if self.before is not None else 0
        return remove_files(self._descriptor, self._names, self.holding, self.held, blocks, removed)

    def put_back(self) -> str:
        """Put the entry back in its place; see `give_place`."""
        self._is_begun = True
        return super().put_back()

    def close(self) -> None:
        """Release its lock; the last claim in a batch also releases that of the batch. If its
        removal was not begun because the sweep was interrupted, it is put back.
        """
        if not self._is_begun:
            self.put_back()
        at.close(self._descriptor)
        self._of.let_go()


class Batch:
    """A batch in the holding area `area`, which is removed when its last claim is closed.

    Raises `OSError` or `NotClaimed` if it cannot be made.
    """

    def __init__(self, area: HoldingArea) -> None:
        self.area = area
        self.stack = contextlib.ExitStack()
        self.claims: list[Small] = []
        self.elsewhere: dict[str, str] = {}
        """For entries that could not be put back in their places, the text from `give_place`."""
        self._open = 1
        self._directories: dict[str, int | None] = {}
        holding = area.open()
        if holding is None:
            raise OSError("no room")
        self._holding = holding
        try:
            self.directory, self.name = make_batch(area.root, self.stack, holding, batch_name())
        except BaseException:
            self.stack.close()
            raise

    @property
    def place(self) -> Path:
        """Its absolute path."""
        return self.area.root / STORE / HOLDING / self.name

    def claim(
        self,
        entries: Iterable[Entry],
        files_of: Callable[[Opened], list[str] | None],
        *,
        despite_lock: Collection[str],
    ) -> None:
        """Claim the `entries` that hold nothing but files; `files_of` returns their names.

        No process may hold a lock on an entry, unless its path is in `despite_lock`.

        If this process dies before the entries are condemned, the next sweep puts them back.
        """
        found = self._opened(entries)
        left = {one.descriptor for one in found}
        try:
            free = lock_directories(self.area.root, [one.descriptor for one in found])
            for number, (one, is_free) in enumerate(zip(found, free, strict=True)):
                if not (is_free or one.entry.path in despite_lock):
                    continue
                names = files_of(one)
                if names is None:
                    continue
                if self._take(one, names, held_name(one.entry.path, f"{number:04x}")):
                    left.discard(one.descriptor)
        finally:
            for descriptor in left:
                at.close(descriptor)

    def _opened(self, entries: Iterable[Entry]) -> list[Opened]:
        found = []
        for entry in entries:
            category, _, name = entry.path.rpartition("/")
            directory = self._directory(category)
            if directory is None:
                continue
            try:
                descriptor = at.open(name, DIRECTORY_FLAGS, dir_fd=directory)
            except OSError:
                continue
            status = at.fstat(descriptor)
            is_same = status.st_ino == entry.inode and status.st_dev == entry.device
            if is_same and status.st_mode & 0o700 == 0o700:
                found.append(Opened(entry, directory, descriptor, status))
            else:
                at.close(descriptor)
        return found

    def _directory(self, category: str) -> int | None:
        """The open directory of that category; `None` if there is none, or a part is a symlink."""
        if category not in self._directories:
            directory: int | None = self.area.top
            with contextlib.suppress(OSError):
                for part in category.split("/") if category else ():
                    directory, above = None, directory
                    directory = opened(self.stack, part, parent=above)
            self._directories[category] = directory
        return self._directories[category]

    def _take(self, one: Opened, names: list[str], held: str) -> bool:
        """Rename the entry into the batch; false if that failed. If something else was swapped in,
        that is put back.
        """
        name = one.entry.name
        try:
            # In the batch, the name `held` is not taken, so nothing is replaced.
            at.rename(name, held, src_dir_fd=one.directory, dst_dir_fd=self.directory)
        except OSError:
            return False
        claim = Small(self, one, names, held)
        self.claims.append(claim)
        self._open += 1
        try:
            status = at.stat(held, dir_fd=self.directory, follow_symlinks=False)
            if os.path.samestat(status, one.status):
                return True
            claim.before = None  # another file was swapped in just before the rename
        except OSError:
            pass
        self.put_back([claim])
        return True

    def put_back(self, claims: Sequence[Small]) -> None:
        """Put these back in their places, and close them."""
        for claim in tuple(claims):
            self.claims.remove(claim)
            if elsewhere := claim.put_back():
                self.elsewhere[claim.path] = elsewhere
            claim.close()

    def condemn(self) -> None:
        """Note that the removal of the claimed entries is final: after a kill, the next sweep
        deletes them.
        """
        name = batch_name(CONDEMNED)
        try:
            at.rename(self.name, name, src_dir_fd=self._holding, dst_dir_fd=self._holding)
            self.name = name
        except OSError:
            for claim in self.claims:
                claim.condemn()
        for claim in self.claims:
            claim.batch = self.name

    def let_go(self) -> None:
        """Drop one reference, held by each claim and by the creator; the last one closes it."""
        self._open -= 1
        if not self._open:
            self.claims = []  # break the reference cycle, so that nothing waits for the collector
            with contextlib.suppress(OSError):
                at.rmdir(self.name, dir_fd=self._holding)
            self.stack.close()
