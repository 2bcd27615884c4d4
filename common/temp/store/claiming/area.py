"""The holding area of a root: entries are claimed into it, by a rename, before deletion."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ...core.layouts import HELD, HOLDING, STORE, TRANSFER, held_name
from ...errors import Refused, TempError, reason_of
from ..project.project import open_root
from ..project.store_parts import make_parts_at
from ..root.arrivals import keep_age
from ..system import at, obstacle
from ..system.at import ANY_FLAGS
from ..system.locks import lock_directory, share_directory
from ..system.mounts import MountWatch, check_store_unmounted
from ..system.permissions import make_accessible
from .batch import batch_name, make_batch
from .claim import Claim, NotClaimed, opened, opened_area

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


class HoldingArea:
    """The open holding area of one root, to claim entries into. Close it after use.

    A `batch` is a directory in the holding area with one lock for everything claimed into it, so
    that thousands of entries can be claimed before the first is deleted. A sweep that takes over a
    batch deletes all of it. Raises `NotClaimed` if the root cannot be opened.
    """

    def __init__(self, root: Path, *, batch: bool = False) -> None:
        self.root = root
        self.batch = batch_name() if batch else ""
        self._real = os.fsencode(os.path.realpath(root))
        self._stack = contextlib.ExitStack()
        self._opened: int | None = None
        try:
            self.top = open_root(root)
            self._stack.callback(at.close, self.top)
        except FileNotFoundError:
            raise NotClaimed("is gone already") from None
        except TempError as error:
            raise NotClaimed(str(error), failed=True) from error
        except OSError as error:
            raise NotClaimed(reason_of(error), failed=True) from error
        self._mounts = MountWatch()
        self._seen: tuple[bytes, ...] = ()
        self._mounted: list[str] = []
        """The mount points in the root, relative to it, from the mount list `_seen`."""

    def close(self) -> None:
        """Close all descriptors, and remove the batch if it is empty. Close the claims first."""
        if self.batch and self._opened is not None:
            with contextlib.suppress(OSError):
                at.rmdir(f"{STORE}/{HOLDING}/{self.batch}", dir_fd=self.top)
        self._mounts.close()
        self._stack.close()

    @property
    def place(self) -> str:
        """Its absolute path."""
        return str(self.root / STORE / HOLDING / self.batch)

    @property
    def anchored(self) -> str:
        """A path to the open directory that cannot be redirected by renames or symlinks."""
        return self.place if self._opened is None else at.anchored(self._opened, self.place)

    def open(self) -> int | None:
        """The open directory to claim into, made if missing; `None` on a full disk.

        Raises `NotClaimed`.
        """
        descriptor, prefix = self._area()
        return None if prefix else descriptor

    def call_it(self, prefix: str) -> None:
        """Rename this batch so that its name starts with `prefix`, which shows its purpose."""
        name = batch_name(prefix)
        with contextlib.ExitStack() as stack:
            holding = opened_area(stack, self.top)
            at.rename(self.batch, name, src_dir_fd=holding, dst_dir_fd=holding)
            if not at.RELATIVE:  # such systems know it only by its path
                self._opened = opened(self._stack, name, parent=holding)
        self.batch = name

    def claim(
        self,
        path: str,
        identity: tuple[int, int],
        *,
        despite_lock: bool = False,
        is_decided: bool = False,
    ) -> Claim:
        """Claim the entry at `path` by renaming it into the holding area. Close the claim.

        If this process dies, the next sweep puts the entry back. If the entry was condemned by then
        (see `Claim.condemn`), or if its removal `is_decided` beforehand, the sweep deletes it.

        The entry must still be the file or directory of that `identity` (device, inode), and no
        process may hold a lock on it (unless `despite_lock`). The lock taken here tells other
        sweeps that the removal is in progress, and dies with this process. Raises `NotClaimed`.

        Accepted race: a filesystem mounted inside after the mounts were read is not detected here,
        but the removal does not enter it.
        """
        stack = contextlib.ExitStack()
        try:
            directory, name, status = self._seen_at(stack, path, identity)
            try:
                return self._claim(stack, path, directory, name, status, despite_lock, is_decided)
            except BaseException:
                keep_age(self.root, path, status)  # its permissions may have been changed here
                raise
        except BaseException:
            stack.close()
            raise

    def _seen_at(
        self, stack: contextlib.ExitStack, path: str, identity: tuple[int, int]
    ) -> tuple[int, str, os.stat_result]:
        """The open parent directory of the entry at `path`, its name there, and its status."""
        category, _, name = path.rpartition("/")
        try:
            directory = self.top
            for part in category.split("/") if category else ():
                directory = opened(stack, part, parent=directory)
            status = at.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            raise NotClaimed("is gone already") from None
        except OSError as error:
            raise NotClaimed(reason_of(error), failed=True) from error
        if (status.st_dev, status.st_ino) != identity:
            raise NotClaimed("is no longer the one that was looked at")
        return directory, name, status

    def _claim(
        self,
        stack: contextlib.ExitStack,
        path: str,
        directory: int,
        name: str,
        status: os.stat_result,
        despite_lock: bool,
        is_decided: bool,
    ) -> Claim:
        identity = status.st_dev, status.st_ino
        claim = Claim(self.root, self.top, path, directory, stack)
        claim.before = None if is_decided else status
        lock = _lock_entry(stack, self.root, directory, name, status, despite_lock)
        if lock is not None:
            claim.locks = (lock,)
        try:
            self._take(claim, directory, name, stack, is_decided)
            status = at.stat(claim.held, dir_fd=claim.holding, follow_symlinks=False)
        except FileNotFoundError:
            raise NotClaimed("is gone already") from None
        except OSError as error:
            why = obstacle.reason_of(error, name, directory)
            raise NotClaimed(f"cannot be moved aside: {why}", failed=True) from error
        if (status.st_dev, status.st_ino) != identity:
            # Swapped in just before the rename: not the entry that was judged, so it goes back.
            raise NotClaimed(f"was replaced at this moment{claim.put_back()}")
        try:
            mounted = self._mounted_in(claim) if stat.S_ISDIR(status.st_mode) else ""
            check_store_unmounted(str(self.root), self._mounted)
        except Refused as error:
            raise NotClaimed(f"{error}{claim.put_back()}", failed=True) from None
        except OSError as error:
            raise NotClaimed(
                f"cannot tell what is mounted in it: {reason_of(error)}{claim.put_back()}",
                failed=True,
            ) from error
        if mounted:
            raise NotClaimed(
                f"another filesystem is mounted at {path}/{mounted}; unmount it first"
                f"{claim.put_back()}",
                failed=True,
            )
        return claim

    def _take(
        self,
        claim: Claim,
        directory: int,
        name: str,
        stack: contextlib.ExitStack,
        is_decided: bool,
    ) -> None:
        """Rename the entry into the holding area; if the disk is too full for that, in the root."""
        holding, prefix = self._area()
        claim.batch = self.batch if not prefix else ""
        if not claim.locks and not prefix and not self.batch:
            # A separate lock on a separate file description; see `_take_over`.
            holding = opened_area(stack, self.top)
            if not share_directory(holding):
                raise NotClaimed(
                    f"a process holds a lock (flock) on {self.place}; end it", failed=True
                )
            claim.locks = (holding,)
        digits = os.urandom(8).hex()
        held = f"{prefix}{digits}" if is_decided else held_name(claim.path, digits, prefix)
        try:
            _rename(name, held, directory, holding)
        except OSError as error:
            if error.errno == errno.ENOENT and at.fstat(holding).st_nlink == 0:
                # The holding area was removed; the next claim makes a new one.
                self._opened = None
            if error.errno not in NO_ROOM or self.batch.startswith(TRANSFER):
                raise
            holding, claim.batch = self.top, ""
            held = f"{HELD}{digits}" if is_decided else held_name(claim.path, digits, HELD)
            _rename(name, held, directory, holding)
        claim.holding, claim.held = holding, held

    def _area(self) -> tuple[int, str]:
        """The holding area, made if missing, and a prefix for names; the root on a full disk."""
        if self._opened is not None:
            return self._opened, ""
        try:
            try:
                area = opened_area(self._stack, self.top)
            except FileNotFoundError:
                make_parts_at(self.root, self.top, HOLDING)
                area = opened_area(self._stack, self.top)
            if self.batch:
                area, self.batch = make_batch(self.root, self._stack, area, self.batch)
        except OSError as error:
            if error.errno in NO_ROOM:
                return self.top, HELD
            raise NotClaimed(
                f"no holding area in {self.root}: {reason_of(error)}", failed=True
            ) from error
        self._opened = area
        return area, ""

    def mounted(self) -> list[str]:
        """The mount points in the root, relative to it. Raises `OSError`."""
        points = self._mounts.points()
        if points is not self._seen:
            prefix = self._real.rstrip(b"/") + b"/"
            inside = (point[len(prefix) :] for point in points if point.startswith(prefix))
            self._seen, self._mounted = points, sorted(map(os.fsdecode, inside))
        return self._mounted

    def _mounted_in(self, claim: Claim) -> str:
        """A mount point in the claimed entry, relative to it; "" if there is none.

        A mount list from before the rename has the old path, a later one the new path.
        """
        mounted = self.mounted()
        if not mounted:
            return ""
        for path in (claim.path, os.path.relpath(claim.place, self.root)):
            for point in mounted:
                if point.startswith(f"{path}/"):
                    return point[len(path) + 1 :]
        return ""


@contextmanager
def claimed(
    root: Path, path: str, identity: tuple[int, int], *, despite_lock: bool = False
) -> Iterator[Claim]:
    """The entry at `path` below `root`, claimed: see `HoldingArea.claim`."""
    with contextlib.closing(HoldingArea(root)) as area:
        claim = area.claim(path, identity, despite_lock=despite_lock)
        with contextlib.closing(claim):
            yield claim


def _rename(name: str, held: str, directory: int, holding: int) -> None:
    # `held` has 64 random bits, so nothing is replaced.
    try:
        at.rename(name, held, src_dir_fd=directory, dst_dir_fd=holding)
    except PermissionError as error:
        # A directory that moves to another parent must itself be writable.
        try:
            make_accessible(directory, name)
        except OSError:
            raise error from None
        at.rename(name, held, src_dir_fd=directory, dst_dir_fd=holding)


def _lock_entry(
    stack: contextlib.ExitStack,
    root: Path,
    directory: int,
    name: str,
    seen: os.stat_result,
    despite_lock: bool,
) -> int | None:
    """The descriptor that holds this process's lock on the entry; `None` if it cannot be opened."""
    try:
        try:
            descriptor = opened(stack, name, ANY_FLAGS, directory)
        except PermissionError:
            with contextlib.suppress(NotADirectoryError):
                make_accessible(directory, name)
            descriptor = opened(stack, name, ANY_FLAGS, directory)
    except FileNotFoundError:
        raise NotClaimed("is gone already") from None
    except OSError as error:
        if may_be_unopenable(seen, error):
            return None
        raise NotClaimed(reason_of(error), failed=True) from error
    status = at.fstat(descriptor)
    if (status.st_dev, status.st_ino) != (seen.st_dev, seen.st_ino):
        raise NotClaimed("is no longer the one that was looked at")
    if lock_directory(root, descriptor):
        return descriptor
    if despite_lock:
        return None
    raise NotClaimed("in use: a process holds a lock (flock) on it")


def may_be_unopenable(status: os.stat_result, error: OSError) -> bool:
    """Whether it can never be opened because of its kind, such as a symlink or a socket."""
    lockable = stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)
    return not lockable or isinstance(error, PermissionError)
