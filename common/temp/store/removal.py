"""Taking a tree away, safely: claimed by rename, then deleted through directory descriptors.

Nothing here follows a symlink or crosses into another filesystem, whatever others do meanwhile:
every directory is opened relative to its parent with `O_NOFOLLOW`, every name is unlinked relative
to an open directory, and permissions are changed through a descriptor of the very directory.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..core.layout import HELD, HOLDING, STORE, entry_name, is_inside, read_name
from ..errors import StorageError
from .lease import check_store, lock_directory, share_directory, unlock_directory
from .listing import holding_places
from .mounts import mounts_below
from .walk import ANY_FLAGS, DIRECTORY_FLAGS, ROOT_FLAGS

_OPEN_FRAMES: Final = 48
_PASSES: Final = 8
"""How often a directory is read again because something new appeared in it while it was emptied."""

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(slots=True)
class Removed:
    """What a removal freed (bytes on disk, counted at the last link) and what it could not."""

    freed_bytes: int = 0
    files: int = 0
    directories: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Removed) -> None:
        """Count `other` in."""
        self.freed_bytes += other.freed_bytes
        self.files += other.files
        self.directories += other.directories
        self.failures += other.failures


# -- deleting ---------------------------------------------------------------------------------


class _Frame:
    __slots__ = ("descriptor", "identity", "items", "left", "name", "passes")

    def __init__(self, name: str, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if status.st_mode & 0o700 != 0o700 and hasattr(os, "fchmod"):
            # Without these nothing in it can be unlinked. A failure shows at the first unlink.
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, stat.S_IMODE(status.st_mode) | 0o700)
        self.name = name
        self.descriptor: int | None = descriptor
        self.identity = (status.st_dev, status.st_ino)
        self.items: Iterator[os.DirEntry[str]] | None = None
        self.left: set[str] = set()
        self.passes = 0

    def close(self) -> None:
        close = getattr(self.items, "close", None)
        if close is not None:
            close()
        self.items = None
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class _Removal:
    """The removal of one directory tree; deep trees are climbed by `..`, wide ones streamed."""

    def __init__(self, device: int, progress: Callable[[int], None] | None) -> None:
        self.device = device
        self.removed = Removed()
        self.progress = progress
        self.stack: list[_Frame] = []
        self.lowest_open = 1
        """The frames from here up are open; the first one always is."""

    def run(self, parent: int, name: str) -> None:
        try:
            top = self._enter(parent, name)
            if top is None:
                return
            self.stack.append(top)
            while self.stack:
                if self._empty(self.stack[-1]):
                    self._leave(parent)
        finally:
            for frame in self.stack:
                frame.close()

    def _where(self, name: str = "") -> str:
        if not self.stack:
            return ""
        names = [frame.name for frame in self.stack[1:]]
        return "/".join([*names, name] if name else names)

    def _fail(self, name: str, error: OSError | str) -> None:
        """Note that `name` in the directory on top of the stack stays, and why."""
        reason = error if isinstance(error, str) else _reason(error)
        self.removed.failures.append((self._where(name), reason))
        if self.stack:
            self.stack[-1].left.add(name)

    def _enter(self, parent: int, name: str) -> _Frame | None:
        """The frame of the directory `name` in `parent`; `None` if it cannot be entered."""
        try:
            try:
                descriptor = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
            except PermissionError:
                _make_accessible(parent, name)
                descriptor = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                # Swapped for a file or a link since it was listed: then that is what goes.
                self.unlink(parent, name)
                return None
            self._fail(name, error)
            return None
        if os.fstat(descriptor).st_dev != self.device:
            os.close(descriptor)
            self._fail(name, "another filesystem is mounted here; unmount it first")
            return None
        return _Frame(name, descriptor)

    def _empty(self, frame: _Frame) -> bool:
        """Whether nothing more in `frame` can go; `False` once a subdirectory was entered."""
        assert frame.descriptor is not None
        while True:
            try:
                if frame.items is None:
                    frame.items = os.scandir(frame.descriptor)
                    frame.passes += 1
                item = next(frame.items, None)
                is_directory = item is not None and item.is_dir(follow_symlinks=False)
            except OSError as error:
                self._fail("", error)
                return True
            if item is None:
                frame.items = None
                return True
            name = item.name
            if name in frame.left:
                continue
            if not is_directory:
                self.unlink(frame.descriptor, name)
                continue
            child = self._enter(frame.descriptor, name)
            if child is not None:
                self.stack.append(child)
                if len(self.stack) - self.lowest_open > _OPEN_FRAMES:
                    # Found again by `..` from below, and read again: what is gone is gone.
                    self.stack[self.lowest_open].close()
                    self.lowest_open += 1
                return False

    def unlink(self, parent: int, name: str) -> None:
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            os.unlink(name, dir_fd=parent)
        except OSError as error:
            # Gone, or swapped for a directory, which the next pass enters.
            if error.errno in (errno.ENOENT, errno.EISDIR):
                return
            self._fail(name, error)
            return
        self.removed.files += 1
        if status.st_nlink == 1:
            self.removed.freed_bytes += status.st_blocks * 512
        if self.progress is not None:
            self.progress(self.removed.freed_bytes)

    def _leave(self, parent: int) -> None:
        """Remove the emptied top of the stack from the directory above, and go on there."""
        done = self.stack.pop()
        assert done.descriptor is not None
        self.lowest_open = max(1, min(self.lowest_open, len(self.stack) - 1))
        above = self.stack[-1] if self.stack else None
        try:
            if above is not None and above.descriptor is None:
                above.descriptor = self._climb(done, above)
                if above.descriptor is None:
                    return
            directory = parent if above is None or above.descriptor is None else above.descriptor
            self._remove_emptied(directory, done, above)
        finally:
            done.close()

    def _climb(self, done: _Frame, above: _Frame) -> int | None:
        """The directory above `done`, opened from it, if it is still the one we came from."""
        assert done.descriptor is not None
        with contextlib.suppress(OSError):
            descriptor = os.open("..", DIRECTORY_FLAGS, dir_fd=done.descriptor)
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) == above.identity:
                return descriptor
            os.close(descriptor)
        # Somebody moved it, and the way up is lost. The lowest directory that is still open is
        # read again before it is given up, so what did stay below it is found from there.
        while self.stack[-1].descriptor is None:
            self.stack.pop()
        self.lowest_open = max(1, len(self.stack) - 1)
        return None

    def _remove_emptied(self, directory: int, done: _Frame, above: _Frame | None) -> None:
        assert done.descriptor is not None
        try:
            blocks = os.fstat(done.descriptor).st_blocks
            os.rmdir(done.name, dir_fd=directory)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return
            filled = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
            if filled and not done.left and done.passes < _PASSES:
                self._again(done)
                return
            if not filled or not done.left:  # otherwise what was left has said why
                self._fail(done.name, "is being written to" if filled else error)
            elif above is not None:
                above.left.add(done.name)
            return
        self.removed.directories += 1
        self.removed.freed_bytes += blocks * 512

    def _again(self, done: _Frame) -> None:
        """Put `done` back on the stack, because something appeared in it meanwhile."""
        assert done.descriptor is not None
        again = _Frame(done.name, os.dup(done.descriptor))
        again.passes = done.passes
        self.stack.append(again)


def _make_accessible(parent: int, name: str) -> None:
    """Give the owner read, write and search permission on the directory `name` in `parent`.

    Through an `O_PATH` descriptor, so that a link put in its place is not followed.
    """
    if not hasattr(os, "O_PATH"):
        if os.chmod in os.supports_follow_symlinks:
            os.chmod(name, 0o700, dir_fd=parent, follow_symlinks=False)
        return
    descriptor = os.open(
        name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent
    )
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        os.chmod(f"/proc/self/fd/{descriptor}", mode | 0o700)
    except FileNotFoundError:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
    finally:
        os.close(descriptor)


def remove_at(
    parent: int,
    name: str,
    *,
    progress: Callable[[int], None] | None = None,
) -> Removed:
    """Delete `name` in the directory open at `parent`, whatever it is; a link is never followed.

    What could not be deleted is in the failures (path relative to `name`, reason); nothing is
    raised for it. A directory on another device is such a failure; a bind mount of the same one
    has to be looked for before (`mounts_below`).
    """
    removal = _Removal(0, progress)
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return removal.removed
    removal.device = status.st_dev
    if stat.S_ISDIR(status.st_mode):
        removal.run(parent, name)
    else:
        removal.unlink(parent, name)
    removed = removal.removed
    if not removed.failures:
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=parent, follow_symlinks=False)
            removed.failures.append(("", "is being written to"))
    return removed


# -- claiming ---------------------------------------------------------------------------------


class NotClaimed(Exception):
    """An entry that was not taken: `detail` says why, `failed` whether that is an error."""

    def __init__(self, detail: str, *, failed: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.failed = failed


@dataclass(slots=True)
class Claim:
    """An entry that this process has taken out of everybody's sight, and holds locked."""

    root: Path
    path: str
    top: int
    directory: int
    holding: int
    held: str

    def remove(self, progress: Callable[[int], None] | None = None) -> Removed:
        """Delete it; what cannot be deleted goes back to its place."""
        removed = remove_at(self.holding, self.held, progress=progress)
        if removed.failures and (elsewhere := self.put_back()):
            where, what = removed.failures[0]
            removed.failures[0] = (where, f"{what}{elsewhere}")
        return removed

    def put_back(self) -> str:
        """Give the entry its place again; "", or a clause that says where it is instead.

        If its name is taken by now it gets another: what stays in the holding area is deleted by
        the next sweep, whatever it is.
        """
        name = self.path.rpartition("/")[2]
        label, stamp = read_name(name)
        other = os.urandom(4).hex()
        other = entry_name(label, stamp, other) if stamp is not None else f"{name}.{other}"
        for directory, place in (
            (self.directory, name),
            (self.directory, other),
            (self.top, other),
        ):
            with contextlib.suppress(OSError):
                self._move_to(directory, place)
                if place == name:
                    return ""
                return f"; its place is taken, so it is {other} now"
        return f"; it cannot be put back and is {self.place} now"

    def _move_to(self, directory: int, name: str) -> None:
        here = {"src_dir_fd": self.holding, "dst_dir_fd": directory}
        if not stat.S_ISDIR(os.lstat(self.held, dir_fd=self.holding).st_mode):
            try:
                os.link(self.held, name, follow_symlinks=False, **here)
            except FileExistsError:
                raise
            except OSError:
                pass  # a filesystem without links
            else:
                os.unlink(self.held, dir_fd=self.holding)
                return
        # A rename replaces an empty directory (or, without links, a file) of that name, made at
        # this very instant: the race that is accepted here.
        with contextlib.suppress(FileNotFoundError):
            os.lstat(name, dir_fd=directory)
            raise FileExistsError
        os.rename(self.held, name, **here)

    @property
    def place(self) -> str:
        """The absolute path of what was claimed, while it is."""
        directory = self.root if self.held.startswith(HELD) else self.root / STORE / HOLDING
        return str(directory / self.held)


@contextmanager
def claimed(
    root: Path, path: str, identity: tuple[int, int], *, despite_lock: bool = False
) -> Iterator[Claim]:
    """Claim the entry at `path` below `root` by renaming it into the holding area.

    It must still be the file or directory of that `identity` (device, inode), and nobody may hold
    a lock on it (unless `despite_lock`). The lock that is taken here tells other sweeps that its
    removal is under way, and dies with this process, whereupon the next sweep finishes. Raises
    `NotClaimed`.

    Races that are accepted: a process that dies in the instant between the rename and the look at
    what was renamed, and in that very instant it was another; a filesystem that is mounted inside
    after the mounts were read.
    """
    category, _, name = path.rpartition("/")
    with contextlib.ExitStack() as stack:
        try:
            top = _opened(stack, str(root), ROOT_FLAGS)
            directory = _opened(stack, category, DIRECTORY_FLAGS, top) if category else top
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            raise NotClaimed("is gone already") from None
        except OSError as error:
            raise NotClaimed(_reason(error), failed=True) from error
        if (status.st_dev, status.st_ino) != identity:
            raise NotClaimed("is no longer the one that was looked at")
        holding, prefix = _holding(stack, root, top)
        locked = _lock_entry(stack, root, directory, name, status, despite_lock)
        if not locked and not prefix:
            share_directory(holding)  # see `_take_over`
        try:
            held = f"{prefix}{os.urandom(8).hex()}"
            try:
                _rename(name, held, directory, holding)
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                holding, held = top, f"{HELD}{held}"
                _rename(name, held, directory, holding)
            claim = Claim(root, path, top, directory, holding, held)
            status = os.stat(held, dir_fd=holding, follow_symlinks=False)
        except FileNotFoundError:
            raise NotClaimed("is gone already") from None
        except OSError as error:
            raise NotClaimed(f"cannot be moved aside: {_reason(error)}", failed=True) from error
        if (status.st_dev, status.st_ino) != identity:
            # Swapped in the instant before the rename: not what was judged, so it goes back.
            raise NotClaimed(f"was replaced at this moment{claim.put_back()}")
        if stat.S_ISDIR(status.st_mode) and (mounts := mounts_below(claim.place)):
            raise NotClaimed(
                f"another filesystem is mounted at {path}/{min(mounts)}; unmount it first"
                f"{claim.put_back()}",
                failed=True,
            )
        yield claim


def _opened(stack: contextlib.ExitStack, path: str, flags: int, parent: int | None = None) -> int:
    descriptor = os.open(path, flags, dir_fd=parent)
    stack.callback(os.close, descriptor)
    return descriptor


def _rename(name: str, held: str, directory: int, holding: int) -> None:
    try:
        os.rename(name, held, src_dir_fd=directory, dst_dir_fd=holding)
    except PermissionError as error:
        # A directory that is to get another parent has to be writable itself.
        try:
            _make_accessible(directory, name)
        except OSError:
            raise error from None
        os.rename(name, held, src_dir_fd=directory, dst_dir_fd=holding)


def _lock_entry(
    stack: contextlib.ExitStack,
    root: Path,
    directory: int,
    name: str,
    seen: os.stat_result,
    despite_lock: bool,
) -> bool:
    """Whether this process now holds a lock on the entry; not if it cannot be opened."""
    try:
        try:
            descriptor = _opened(stack, name, ANY_FLAGS, directory)
        except PermissionError:
            with contextlib.suppress(NotADirectoryError):
                _make_accessible(directory, name)
            descriptor = _opened(stack, name, ANY_FLAGS, directory)
    except FileNotFoundError:
        raise NotClaimed("is gone already") from None
    except OSError as error:
        if _may_be_unopenable(seen, error):
            return False
        raise NotClaimed(_reason(error), failed=True) from error
    status = os.fstat(descriptor)
    if (status.st_dev, status.st_ino) != (seen.st_dev, seen.st_ino):
        raise NotClaimed("is no longer the one that was looked at")
    if lock_directory(root, descriptor):
        return True
    if despite_lock:
        return False
    raise NotClaimed("in use: a process holds a lock (flock) on it")


def _may_be_unopenable(status: os.stat_result, error: OSError) -> bool:
    """Whether it lies in the nature of the thing that it cannot be opened: a link, a socket."""
    lockable = stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)
    return not lockable or isinstance(error, PermissionError)


def _holding(stack: contextlib.ExitStack, root: Path, top: int) -> tuple[int, str]:
    """The holding area, made if missing, and a prefix for names; the root itself on a full disk."""
    try:
        try:
            return _opened_holding(stack, top), ""
        except FileNotFoundError:
            for name in (STORE, f"{STORE}/{HOLDING}"):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=top)
            return _opened_holding(stack, top), ""
    except OSError as error:
        if error.errno in _NO_ROOM:
            return _opened(stack, ".", DIRECTORY_FLAGS, top), HELD
        raise NotClaimed(f"no holding area in {root}: {_reason(error)}", failed=True) from error


def _opened_holding(stack: contextlib.ExitStack, top: int) -> int:
    # Step by step: a symlink in its place would have the next sweep delete what it points to.
    return _opened(stack, HOLDING, DIRECTORY_FLAGS, _opened(stack, STORE, DIRECTORY_FLAGS, top))


def finish_leftovers(root: Path) -> tuple[int, Removed]:
    """Delete what killed sweeps left claimed in `root`; how many, and what that freed.

    Those of a sweep that still runs are locked, and left to it. Raises `StorageError` if the
    holding area cannot be read, `Refused` if it lies behind a symlink.
    """
    check_store(root)
    count = 0
    total = Removed()
    for directory, prefix in holding_places(root):
        with contextlib.ExitStack() as stack:
            try:
                top = _opened(stack, str(root), ROOT_FLAGS)
                holding = top if prefix else _opened_holding(stack, top)
                names = [name for name in os.listdir(holding) if name.startswith(prefix)]
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StorageError.of(f"cannot read {directory}", error) from error
            mounts = mounts_below(directory) if names else frozenset()
            for name in sorted(names):
                with contextlib.ExitStack() as held:
                    if not _take_over(held, root, holding, name, alone=bool(prefix)):
                        continue
                    mounted = [point for point in mounts if is_inside(point, name)]
                    if mounted:
                        removed = Removed()
                        inside = min(mounted)[len(name) + 1 :]
                        removed.failures.append((inside, "is a mount point; unmount it"))
                    else:
                        removed = remove_at(holding, name)
                    count += not removed.failures
                    removed.failures = [
                        (f"{os.path.join(directory, name)}/{where}".rstrip("/"), what)
                        for where, what in removed.failures
                    ]
                    total.add(removed)
    return count, total


def _take_over(
    stack: contextlib.ExitStack, root: Path, holding: int, name: str, *, alone: bool
) -> bool:
    """Whether the sweep that claimed `name` is dead, and this one is now the only one at it.

    A link or a socket cannot be locked. Who claims one holds a shared lock on the holding area
    for the instant that its removal takes, so whoever has that exclusively knows them for dead.
    (`alone`: not where the root itself holds them, on a full disk.)
    """
    try:
        status = os.stat(name, dir_fd=holding, follow_symlinks=False)
        try:
            descriptor = _opened(stack, name, ANY_FLAGS, holding)
        except OSError as error:
            if not _may_be_unopenable(status, error):
                return False
            if alone:
                return True
            descriptor = holding
            stack.callback(unlock_directory, holding)
        if not lock_directory(root, descriptor):
            return False
        os.stat(name, dir_fd=holding, follow_symlinks=False)  # not gone by now
    except OSError:
        return False
    return True


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
