"""Claiming: an entry is renamed into the root's holding area before anything of it is deleted.

Whoever claims an entry holds a lock on it that dies with the process. What lies in the holding
area unlocked is what a killed sweep left, and the next sweep takes it over.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ...core.layout import BATCH, HELD, HOLDING, STORE, TRANSFER, another_name, is_inside
from ...errors import Refused, StorageError, TempError, reason_of
from ..project.project import open_root
from ..root.guard import check_store
from ..root.listing import holding_places
from ..system import at, obstacle
from ..system.access import make_accessible
from ..system.at import ANY_FLAGS, DIRECTORY_FLAGS
from ..system.locks import lock_directory, share_directory
from ..system.mounts import MountWatch, check_store_unmounted, mounts_below
from ..system.renaming import rename_new
from ..trees.removal import remove_at
from ..trees.removed import Removed

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


class NotClaimed(Exception):
    """An entry that was not taken: `detail` says why, `failed` whether that is an error."""

    def __init__(self, detail: str, *, failed: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.failed = failed


class Held:
    """Something that lies claimed as `held` in the open directory `holding`, locked by us.

    `top` is the open root.
    """

    def __init__(
        self, root: Path, holding: int, held: str, stack: contextlib.ExitStack, top: int = -1
    ) -> None:
        self.root = root
        self.top = top
        self.holding = holding
        self.held = held
        self.stack = stack
        self.locks: tuple[int, ...] = ()
        """The descriptors by which it is locked: a worker must not keep them."""
        self.batch = ""
        """The batch in which it lies, if it was claimed with others."""
        self.mounted: str | None = None
        """Where in it another filesystem is mounted, so that it has to stay."""

    @property
    def place(self) -> str:
        """The absolute path of it, while it is claimed."""
        if self.held.startswith(HELD):
            return str(self.root / self.held)
        return str(self.root / STORE / HOLDING / self.batch / self.held)

    def give_place(self, path: str, directory: int | None = None) -> str:
        """Make it the entry at `path`; "", or a clause that says where it is instead.

        If that name is taken it gets another: what stays in the holding area is deleted by the next
        sweep, whatever it is. `directory` is the open one of the entry, where that is known.
        """
        name = path.rpartition("/")[2]
        other = another_name(name, os.urandom(4).hex())
        with contextlib.ExitStack() as stack:
            if directory is None:
                with contextlib.suppress(OSError):
                    above = self.top
                    for part in path.split("/")[:-1]:
                        above = _opened(stack, part, DIRECTORY_FLAGS, above)
                    directory = above
            for target, place in ((directory, name), (directory, other), (self.top, other)):
                with contextlib.suppress(OSError):
                    if target is None:
                        continue
                    rename_new(self.held, place, src_dir_fd=self.holding, dst_dir_fd=target)
                    if place == name:
                        return ""
                    return f"; its place is taken, so it is {other} now"
        return f"; it cannot be put back and is {self.place} now"

    def close(self) -> None:
        """Give up the lock, and with it what still lies there, to whoever sweeps next."""
        self.stack.close()


class Claim(Held):
    """An entry that this process has taken out of everybody's sight, and holds locked."""

    def __init__(
        self, area: HoldingArea, path: str, directory: int, stack: contextlib.ExitStack
    ) -> None:
        super().__init__(area.root, area.top, "", stack, area.top)
        self.path = path
        self.directory: int | None = directory

    def remove(self) -> Removed:
        """Delete it; what cannot be deleted goes back to its place."""
        return self.conclude(remove_at(self.holding, self.held))

    def detach(self) -> None:
        """Leave the lock to the batch, and keep no descriptor of its own."""
        if self.batch:
            self.stack.close()
            self.locks = (self.holding,)
            self.directory = None

    def conclude(self, removed: Removed) -> Removed:
        """`removed` is what became of it; give back what could not be deleted."""
        if removed.failures and (elsewhere := self.put_back()):
            where, what = removed.failures[0]
            removed.failures[0] = (where, f"{what}{elsewhere}")
        return removed

    def put_back(self) -> str:
        """Give the entry its place again; see `give_place`."""
        return self.give_place(self.path, self.directory)


class HoldingArea:
    """The holding area of one root, open to claim entries into. To be closed.

    As a `batch` it is a directory of its own in there, with one lock for all that is claimed into
    it, so that thousands can be claimed before the first is deleted; whoever takes over a batch
    deletes the whole. Raises `NotClaimed` if the root cannot be opened.
    """

    def __init__(self, root: Path, *, batch: bool = False) -> None:
        self.root = root
        self.batch = f"{BATCH}{os.urandom(8).hex()}" if batch else ""
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
        """The mount points in the root, relative to it, of those that were `_seen`."""

    def close(self) -> None:
        """Close what is open, and remove the batch if it is empty. Claims are closed before."""
        if self.batch and self._opened is not None:
            with contextlib.suppress(OSError):
                at.rmdir(f"{STORE}/{HOLDING}/{self.batch}", dir_fd=self.top)
        self._mounts.close()
        self._stack.close()

    @property
    def place(self) -> str:
        """The absolute path of it."""
        return str(self.root / STORE / HOLDING / self.batch)

    @property
    def anchored(self) -> str:
        """A path to it, if it is open, that nobody can make lead elsewhere."""
        return self.place if self._opened is None else at.anchored(self._opened, self.place)

    def open(self) -> int | None:
        """The open directory that is claimed into, made if missing; `None` on a full disk.

        Raises `NotClaimed`.
        """
        descriptor, prefix = self._area()
        return None if prefix else descriptor

    def call_it(self, prefix: str) -> None:
        """Let the name of this batch begin with `prefix`, which says what is to become of it."""
        name = f"{prefix}{os.urandom(8).hex()}"
        with contextlib.ExitStack() as stack:
            holding = _opened_area(stack, self.top)
            at.rename(self.batch, name, src_dir_fd=holding, dst_dir_fd=holding)
            if not at.RELATIVE:  # where it is known by its path
                self._opened = _opened(self._stack, name, DIRECTORY_FLAGS, holding)
        self.batch = name

    def claim(self, path: str, identity: tuple[int, int], *, despite_lock: bool = False) -> Claim:
        """Claim the entry at `path` by renaming it into the holding area; to be closed.

        It must still be the file or directory of that `identity` (device, inode), and nobody may
        hold a lock on it (unless `despite_lock`). The lock that is taken here tells other sweeps
        that its removal is under way, and dies with this process, whereupon the next sweep
        finishes. Raises `NotClaimed`.

        Races that are accepted: a process that dies in the instant between the rename and the
        look at what was renamed, and in that very instant it was another; a filesystem that is
        mounted inside after the mounts were looked at.
        """
        stack = contextlib.ExitStack()
        try:
            return self._claim(stack, path, identity, despite_lock)
        except BaseException:
            stack.close()
            raise

    def _claim(
        self,
        stack: contextlib.ExitStack,
        path: str,
        identity: tuple[int, int],
        despite_lock: bool,
    ) -> Claim:
        category, _, name = path.rpartition("/")
        try:
            directory = self.top
            for part in category.split("/") if category else ():
                directory = _opened(stack, part, DIRECTORY_FLAGS, directory)
            status = at.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            raise NotClaimed("is gone already") from None
        except OSError as error:
            raise NotClaimed(reason_of(error), failed=True) from error
        if (status.st_dev, status.st_ino) != identity:
            raise NotClaimed("is no longer the one that was looked at")
        claim = Claim(self, path, directory, stack)
        lock = _lock_entry(stack, self.root, directory, name, status, despite_lock)
        if lock is not None:
            claim.locks = (lock,)
        try:
            self._take(claim, directory, name, stack)
            status = at.stat(claim.held, dir_fd=claim.holding, follow_symlinks=False)
        except FileNotFoundError:
            raise NotClaimed("is gone already") from None
        except OSError as error:
            why = obstacle.reason_of(error, name, directory)
            raise NotClaimed(f"cannot be moved aside: {why}", failed=True) from error
        if (status.st_dev, status.st_ino) != identity:
            # Swapped in the instant before the rename: not what was judged, so it goes back.
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

    def _take(self, claim: Claim, directory: int, name: str, stack: contextlib.ExitStack) -> None:
        """Rename the entry into the holding area; on a full disk, where it cannot, in the root."""
        holding, prefix = self._area()
        claim.batch = self.batch if not prefix else ""
        if not claim.locks and not prefix and not self.batch:
            # A lock of its own, on a description of its own; see `_take_over`.
            holding = _opened_area(stack, self.top)
            if not share_directory(holding):
                raise NotClaimed(
                    f"a process holds a lock (flock) on {self.place}; end it", failed=True
                )
            claim.locks = (holding,)
        held = f"{prefix}{os.urandom(8).hex()}"
        try:
            _rename(name, held, directory, holding)
        except OSError as error:
            if error.errno == errno.ENOENT and at.fstat(holding).st_nlink == 0:
                # Somebody removed the holding area: the next claim makes another.
                self._opened = None
            if error.errno not in NO_ROOM or self.batch.startswith(TRANSFER):
                raise
            holding, held, claim.batch = self.top, f"{HELD}{held}", ""
            _rename(name, held, directory, holding)
        claim.holding, claim.held = holding, held

    def _area(self) -> tuple[int, str]:
        """The holding area, made if missing, and a prefix for names; the root on a full disk."""
        if self._opened is not None:
            return self._opened, ""
        try:
            try:
                area = _opened_area(self._stack, self.top)
            except FileNotFoundError:
                for name in (STORE, f"{STORE}/{HOLDING}"):
                    with contextlib.suppress(FileExistsError):
                        at.mkdir(name, dir_fd=self.top)
                area = _opened_area(self._stack, self.top)
            if self.batch:
                area = self._make_batch(area)
        except OSError as error:
            if error.errno in NO_ROOM:
                return self.top, HELD
            raise NotClaimed(
                f"no holding area in {self.root}: {reason_of(error)}", failed=True
            ) from error
        self._opened = area
        return area, ""

    def _make_batch(self, holding: int) -> int:
        while True:
            at.mkdir(self.batch, dir_fd=holding)
            with contextlib.suppress(FileNotFoundError):
                batch = _opened(self._stack, self.batch, DIRECTORY_FLAGS, holding)
                if lock_directory(self.root, batch) and _is_own(batch):
                    return batch
            # A sweep that found it before it was locked took it for a killed one's leftover.
            self.batch = f"{BATCH}{os.urandom(8).hex()}"

    def _mounted_in(self, claim: Claim) -> str:
        """Where something is mounted in what was claimed; "" if nowhere.

        Told from before the rename it lies below the old path, told from after below the new.
        """
        points = self._mounts.points()
        if points is not self._seen:
            prefix = self._real.rstrip(b"/") + b"/"
            inside = (point[len(prefix) :] for point in points if point.startswith(prefix))
            self._seen, self._mounted = points, sorted(map(os.fsdecode, inside))
        if not self._mounted:
            return ""
        for path in (claim.path, os.path.relpath(claim.place, self.root)):
            for point in self._mounted:
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


def _opened(stack: contextlib.ExitStack, path: str, flags: int, parent: int | None = None) -> int:
    descriptor = at.open(path, flags, dir_fd=parent)
    stack.callback(at.close, descriptor)
    return descriptor


def _rename(name: str, held: str, directory: int, holding: int) -> None:
    # Nothing is called `held`, 64 bits of chance, so nothing is replaced.
    try:
        at.rename(name, held, src_dir_fd=directory, dst_dir_fd=holding)
    except PermissionError as error:
        # A directory that is to get another parent has to be writable itself.
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
    """The descriptor by which this process has the entry locked; none if it cannot be opened."""
    try:
        try:
            descriptor = _opened(stack, name, ANY_FLAGS, directory)
        except PermissionError:
            with contextlib.suppress(NotADirectoryError):
                make_accessible(directory, name)
            descriptor = _opened(stack, name, ANY_FLAGS, directory)
    except FileNotFoundError:
        raise NotClaimed("is gone already") from None
    except OSError as error:
        if _may_be_unopenable(seen, error):
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


def _may_be_unopenable(status: os.stat_result, error: OSError) -> bool:
    """Whether it lies in the nature of the thing that it cannot be opened: a link, a socket."""
    lockable = stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)
    return not lockable or isinstance(error, PermissionError)


def _is_own(directory: int) -> bool:
    """Whether that is still there, and this user's: in its place another may have put their own."""
    status = at.fstat(directory)
    if not status.st_nlink or not hasattr(os, "geteuid") or status.st_uid == os.geteuid():
        return bool(status.st_nlink)
    # A filesystem may give all that is made to somebody else.
    name = os.urandom(8).hex()
    probe = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=directory)
    try:
        return os.fstat(probe).st_uid == status.st_uid
    finally:
        os.close(probe)
        at.unlink(name, dir_fd=directory)


def _opened_area(stack: contextlib.ExitStack, top: int) -> int:
    # Step by step: a symlink in its place would have the next sweep delete what it points to.
    return _opened(stack, HOLDING, DIRECTORY_FLAGS, _opened(stack, STORE, DIRECTORY_FLAGS, top))


def leftovers(root: Path, stack: contextlib.ExitStack) -> Iterator[Held]:
    """What killed sweeps left claimed in `root`, taken over and locked, each to be closed.

    Those of a sweep that still runs are locked, and left to it. What they lie in is open until
    `stack` is closed. Raises `StorageError` if the holding area cannot be read, `Refused` if it
    lies behind a symlink.
    """
    check_store(root)
    for directory, prefix in holding_places(root):
        try:
            top = open_root(root)
            stack.callback(at.close, top)
            holding = top if prefix else _opened_area(stack, top)
            names = [name for name in at.listdir(holding) if name.startswith(prefix)]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError.of(f"cannot read {directory}", error) from error
        mounts = mounts_below(directory) if names else frozenset()
        for name in sorted(names):
            left = Held(root, holding, name, contextlib.ExitStack(), top)
            left.mounted = min(
                (point[len(name) + 1 :] for point in mounts if is_inside(point, name)),
                default=None,
            )
            if _take_over(left, root, alone=bool(prefix)):
                yield left
            else:
                left.close()


def _take_over(left: Held, root: Path, *, alone: bool) -> bool:
    """Whether the sweep that claimed it is dead, and this one is now the only one at it.

    A link or a socket cannot be locked. Who claims one holds a shared lock on the holding area
    for the instant that its removal takes, so whoever has that exclusively knows them for dead.
    (`alone`: not where the root itself holds them, on a full disk.)
    """
    name, holding = left.held, left.holding
    try:
        status = at.stat(name, dir_fd=holding, follow_symlinks=False)
        try:
            descriptor = _opened(left.stack, name, ANY_FLAGS, holding)
        except OSError as error:
            if not _may_be_unopenable(status, error):
                return False
            if alone:
                return True
            # By a description of its own, since workers may share the other.
            descriptor = _opened(left.stack, ".", DIRECTORY_FLAGS, holding)
        if not lock_directory(root, descriptor):
            return False
        left.locks = (descriptor,)
        at.stat(name, dir_fd=holding, follow_symlinks=False)  # not gone by now
    except OSError:
        return False
    return True
