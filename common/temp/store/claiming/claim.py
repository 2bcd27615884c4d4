"""A claimed entry: moved into the holding area, to be deleted or put back.

A process that claims an entry holds a lock on it that dies with the process. An unlocked entry in
the holding area was left by a killed sweep, and the next sweep takes it over.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ...core.layouts import FROM, HELD, HOLDING, STORE, another_name
from ...errors import TempError
from ..root.arrivals import keep_age
from ..root.last_use import carry_use
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.renaming import rename_new
from ..trees.removal import remove_at
from ..trees.removed import Removed


class NotClaimed(Exception):
    """An entry was not claimed: `detail` says why, `failed` whether that is an error."""

    def __init__(self, detail: str, *, failed: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.failed = failed


class NotDisposed(Exception):
    """An entry was not trashed or archived, and is still in its place; the text says why."""


class Held:
    """Something claimed as `held` in the open directory `holding`, and locked by this process.

    `top` is the open root.
    """

    locks: tuple[int, ...] = ()
    """The descriptors that hold its lock: a worker must not keep them."""
    batch = ""
    """The batch that it is in, if it was claimed with others."""
    mounted: str | None = None
    """Where another filesystem is mounted in it, so that it has to stay."""
    before: os.stat_result | None = None
    """The status of its top directory before the claim, to restore its age if it is put back."""
    is_finished = False
    """Whether all that an earlier clean could not remove of it is now gone, or kept on purpose."""
    is_remainder = False
    """Whether some of its files are kept and the rest is removed."""

    def __init__(
        self, root: Path, holding: int, held: str, stack: contextlib.ExitStack, top: int = -1
    ) -> None:
        self.root = root
        self.top = top
        self.holding = holding
        self.held = held
        self.stack = stack

    @property
    def place(self) -> str:
        """Its absolute path while it is claimed."""
        if self.held.startswith(HELD):
            return str(self.root / self.held)
        return str(self.root / STORE / HOLDING / self.batch / self.held)

    def give_place(
        self, path: str, directory: int | None = None, changed: float | None = None
    ) -> str:
        """Move it to `path` as an entry. Returns "", or a clause that says where it is instead.

        If that name is taken, it gets another: it must not stay in the holding area, where the next
        sweep deletes it. `directory` is the open parent directory, if known. `changed` is when the
        entry last changed before its removal, which failed.
        """
        name = path.rpartition("/")[2]
        other = another_name(name, os.urandom(4).hex())
        with contextlib.ExitStack() as stack:
            if directory is None:
                with contextlib.suppress(OSError):
                    above = self.top
                    for part in path.split("/")[:-1]:
                        above = opened(stack, part, parent=above)
                    directory = above
            for target, place in ((directory, name), (directory, other), (self.top, other)):
                with contextlib.suppress(OSError):
                    if target is None:
                        continue
                    rename_new(self.held, place, src_dir_fd=self.holding, dst_dir_fd=target)
                    category = path.rpartition("/")[0] if target is directory else ""
                    put = f"{category}/{place}".lstrip("/")
                    if self.before is not None:
                        keep_age(
                            self.root,
                            path,
                            self.before,
                            place=put,
                            changed=changed,
                            is_finished=self.is_finished,
                            is_remainder=self.is_remainder,
                        )
                    if place == name:
                        return ""
                    with contextlib.suppress(OSError, TempError):
                        carry_use(self.root, path, put)
                    return f"; its place is taken, so it is {other} now"
        return f"; it cannot be put back and is {self.place} now"

    def remove_plain(self, removed: Removed) -> bool:
        """Delete it with few system calls if it is known to hold only a few files. Adds what was
        deleted to `removed`, and returns whether all of it is gone.
        """
        return False

    def close(self) -> None:
        """Release the lock; if anything is left, the next sweep takes it over."""
        self.stack.close()


class Claim(Held):
    """An entry that this process has claimed and locked."""

    def __init__(
        self, root: Path, top: int, path: str, directory: int, stack: contextlib.ExitStack
    ) -> None:
        super().__init__(root, top, "", stack, top)
        self.path = path
        self.directory: int | None = directory
        self.changed: float | None = None
        """When anything inside it last changed; `None` if it was not checked."""

    def condemn(self) -> None:
        """Note that its removal is final: if this process is killed, the next sweep deletes it.

        Without this, the next sweep would put it back.
        """
        name = self.held.partition(FROM)[0]
        with contextlib.suppress(OSError):  # then the next sweep puts back what is left of it
            at.rename(self.held, name, src_dir_fd=self.holding, dst_dir_fd=self.holding)
            self.held = name

    def remove(self) -> Removed:
        """Delete it; if anything cannot be deleted, that is put back."""
        self.condemn()
        return self.conclude(remove_at(self.holding, self.held))

    def detach(self) -> None:
        """Close its own descriptors, and rely on the lock of the batch."""
        if self.batch:
            self.stack.close()
            self.locks = (self.holding,)
            self.directory = None

    def conclude(self, removed: Removed) -> Removed:
        """Put back the entry if `removed` has failures. Returns the final result."""
        if not removed.failures:
            return removed
        changed = self.changed
        if changed is None and self.before is not None:
            changed = self.before.st_mtime_ns / 1e9
        if elsewhere := self.give_place(self.path, self.directory, changed):
            where, what = removed.failures[0]
            removed.failures[0] = (where, f"{what}{elsewhere}")
        return removed

    def put_back(self) -> str:
        """Put the entry back in its place; see `give_place`."""
        return self.give_place(self.path, self.directory)


def opened(
    stack: contextlib.ExitStack, path: str, flags: int = DIRECTORY_FLAGS, parent: int | None = None
) -> int:
    """The file or directory, open until `stack` is closed."""
    descriptor = at.open(path, flags, dir_fd=parent)
    stack.callback(at.close, descriptor)
    return descriptor


def opened_area(stack: contextlib.ExitStack, top: int) -> int:
    """The holding area of the open root `top`, open until `stack` is closed."""
    # Open each part without following symlinks, whose targets the next sweep would delete.
    return opened(stack, HOLDING, parent=opened(stack, STORE, parent=top))
