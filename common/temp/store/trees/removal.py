"""Deleting a tree safely, through directory descriptors.

Nothing here follows a symlink or enters a mount point, even if others change the tree meanwhile:
every directory is opened relative to its parent with `O_NOFOLLOW`, every name is unlinked relative
to an open directory, and permissions are changed through the directory's own descriptor.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ... import errors
from ..system import at
from ..system.mounts import is_in_memory
from ..system.obstacle import reason_of
from ..system.opening import open_unmounted
from ..system.permissions import make_accessible
from .open_directories import Descent, Level
from .removed import Removed, unlink_at

_PASSES: Final = 8
"""How often a directory is read again if something new appears while it is emptied."""

_NAMES_AT_ONCE: Final = 1000
"""How many subdirectories of one directory are listed before the first of them is entered."""

MOUNTED: Final = "another filesystem is mounted here; unmount it first"
BUSY: Final = "is being written to; end what writes there, and clean again"

_PULSE: Final = 64
"""The number of files after which a removal calls its pulse."""


class Part(NamedTuple):
    """One of `of` parts of a directory: the names whose inode modulo `of` is `which`."""

    of: int
    which: int


WHOLE: Final = Part(1, 0)

_WIDE: Final = 1000
"""The number of files from which a directory is worth splitting."""

_MOST_PARTS: Final = 8

Pulse = Callable[["Removal"], bool]
"""Called now and then during a removal; returns whether to continue."""


class _Level(Level):
    __slots__ = ("blocks", "is_read", "items", "left", "name", "part", "passes", "pending", "seen")

    def __init__(self, name: str, descriptor: int, status: os.stat_result, depth: int) -> None:
        if status.st_mode & 0o700 != 0o700 and at.RELATIVE:
            # Otherwise nothing in it can be unlinked. A failure shows at the first unlink.
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, stat.S_IMODE(status.st_mode) | 0o700)
        super().__init__(descriptor, status, depth)
        self.name = name
        self.blocks = status.st_blocks
        self.items: Iterator[os.DirEntry[str]] | None = None
        self.is_read = False
        self.pending: list[str] = []
        self.left: set[str] = set()
        self.passes = 0
        self.seen = 0
        self.part = WHOLE

    def close(self) -> None:
        close = getattr(self.items, "close", None)
        if close is not None:
            close()
        self.items = None
        self.is_read = False
        self.pending = []
        super().close()


class Removal:
    """The removal of one directory tree of any depth and width, in bounded memory.

    It can be stopped at any time; another removal then continues where it stopped.
    """

    def __init__(self, pulse: Pulse | None = None) -> None:
        self.removed = Removed()
        self._pulse = pulse
        self._device = 0
        self._descent: Descent[_Level] = Descent(keeps_top=True)
        self._levels = self._descent.levels
        self._stopped = False

    def remove(self, parent: int, name: str) -> bool:
        """Delete `name` in the directory open at `parent`; return `False` if it was stopped."""
        failures = self.removed.failures
        try:
            status = at.stat(name, dir_fd=parent, follow_symlinks=False)
            self._device = status.st_dev
            if stat.S_ISDIR(status.st_mode):
                top = self._enter(parent, name)
                if top is not None:
                    self._descent.push(top)
                    self._run(parent)
            else:
                self._unlink(parent, name)
            if self._stopped:
                return False
            if not failures:
                at.stat(name, dir_fd=parent, follow_symlinks=False)
                failures.append(("", BUSY))
        except FileNotFoundError:
            pass
        except OSError as error:
            failures.append(("", reason_of(error, name, parent)))
        return True

    def empty(self, descriptor: int, part: Part = WHOLE) -> bool:
        """Delete as much as possible in the open directory, or in a `part` of it.

        Return `False` if it was stopped.
        """
        status = at.fstat(descriptor)
        self._device = status.st_dev
        top = _Level("", at.dup(descriptor), status, 0)
        top.part = part
        self._descent.push(top)
        self._run(None)
        return not self._stopped

    def give_away(self) -> tuple[int, Part] | None:
        """An open directory and the part of it that this removal leaves to another one, if any.

        Preferably a subdirectory as near to the top as possible, where they are the largest; else
        half of the rest of a directory with many files.
        """
        for level in self._levels:
            while level.descriptor is not None and level.pending:
                name = level.pending.pop()
                try:
                    descriptor = open_unmounted(name, dir_fd=level.descriptor)
                except OSError:
                    continue  # the last removal finds out what it is
                if at.fstat(descriptor).st_dev != self._device:
                    at.close(descriptor)
                    continue
                level.left.add(name)
                return descriptor, WHOLE
        return self._give_half()

    def _give_half(self) -> tuple[int, Part] | None:
        wide = self._levels[-1] if self._levels else None
        if wide is None or wide.descriptor is None or wide.seen < _WIDE or wide.is_read:
            return None
        of, which = wide.part
        # The kernel unlinks one name of a directory at a time: others only help to wait for a disk.
        if of >= _MOST_PARTS or is_in_memory(wide.descriptor):
            return None
        wide.part = Part(2 * of, which)
        wide.left.add("")  # not a real name: the directory is not empty yet
        return at.dup(wide.descriptor), Part(2 * of, which + of)

    def _run(self, parent: int | None) -> None:
        try:
            while self._levels and not self._stopped:
                if self._empty(self._levels[-1]) and not self._stopped:
                    goes_on = self._pulse is None or self._pulse(self)
                    is_top = len(self._levels) == 1
                    if is_top and parent is None:
                        break
                    # Removing an empty top is cheaper than leaving it to another removal.
                    if not (goes_on or is_top):
                        self._stopped = True
                        break
                    self._leave(parent)
        finally:
            self._descent.close()

    def _where(self, name: str = "") -> str:
        if not self._levels:
            return ""
        names = [level.name for level in self._levels[1:]]
        return "/".join([*names, name] if name else names)

    def _fail(self, name: str, reason: str) -> None:
        """Note that `name` in the current directory stays, and why."""
        self.removed.failures.append((self._where(name), reason))
        if self._levels:
            self._levels[-1].left.add(name)

    def _enter(self, parent: int, name: str) -> _Level | None:
        """The directory `name` in `parent`, opened; `None` if it cannot be entered."""
        try:
            try:
                descriptor = open_unmounted(name, dir_fd=parent)
            except PermissionError:
                make_accessible(parent, name)
                descriptor = open_unmounted(name, dir_fd=parent)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                # Replaced by a file or a symlink since it was listed: delete that.
                self._unlink(parent, name)
                return None
            mounted = error.errno == errno.EXDEV
            self._fail(name, MOUNTED if mounted else reason_of(error, name, parent))
            return None
        status = at.fstat(descriptor)
        if status.st_dev != self._device:
            at.close(descriptor)
            self._fail(name, MOUNTED)
            return None
        return _Level(name, descriptor, status, len(self._levels))

    def _empty(self, level: _Level) -> bool:
        """Whether nothing more in `level` can be deleted; `False` after entering a subdirectory."""
        while True:
            if not level.is_read and len(level.pending) < _NAMES_AT_ONCE:
                self._unlink_files(level)
                if self._stopped:
                    return True
            while level.pending:
                assert level.descriptor is not None
                name = level.pending.pop()
                child = self._enter(level.descriptor, name) if name not in level.left else None
                if child is None:
                    continue
                # A level that this closes is read again later: names already deleted are gone.
                self._descent.push(child)
                return False
            if level.is_read:
                return True

    def _unlink_files(self, level: _Level) -> None:
        """Continue reading `level`: note the directories, and unlink everything else."""
        descriptor, pending, left, pulse = level.descriptor, level.pending, level.left, self._pulse
        assert descriptor is not None
        countdown = _PULSE
        of, which = level.part
        # Local variables, since a removal spends most of its time in this loop.
        files = length = blocks = 0
        try:
            if level.items is None:
                level.items = at.scandir(descriptor)
                level.passes += 1
            for item in level.items:
                if of > 1 and item.inode() % of != which:
                    continue
                name = item.name
                if item.is_dir(follow_symlinks=False):
                    pending.append(name)
                    if len(pending) >= _NAMES_AT_ONCE:
                        return
                    continue
                if left and name in left:
                    continue
                try:
                    status = item.stat(follow_symlinks=False)
                    at.unlink(name, dir_fd=descriptor)
                except OSError as error:
                    self._not_unlinked(name, error, descriptor)
                    continue
                files += 1
                length += status.st_size
                if status.st_nlink == 1:
                    blocks += status.st_blocks
                else:
                    self._note_link(status)
                countdown -= 1
                if not countdown:
                    countdown = _PULSE
                    level.seen += _PULSE
                    self.removed.count(files, length, blocks)
                    files = length = blocks = 0
                    if pulse is not None and not pulse(self):
                        self._stopped = True
                        return
                    of, which = level.part
        except OSError as error:
            self._fail("", errors.reason_of(error))
        finally:
            self.removed.count(files, length, blocks)
        level.items = None
        level.is_read = True

    def _unlink(self, parent: int, name: str) -> None:
        try:
            self.removed.add(unlink_at(parent, name))
        except OSError as error:
            self._not_unlinked(name, error, parent)

    def _note_link(self, status: os.stat_result) -> None:
        key = (status.st_dev, status.st_ino)
        self.removed.note_link(key, 1, status.st_nlink, status.st_blocks * 512)

    def _not_unlinked(self, name: str, error: OSError, parent: int) -> None:
        # Gone, or replaced by a directory, which the next pass enters.
        if error.errno not in (errno.ENOENT, errno.EISDIR):
            self._fail(name, reason_of(error, name, parent))

    def _leave(self, parent: int | None) -> None:
        """Remove the emptied directory from its parent, and continue there.

        If the parent cannot be reopened, because the emptied directory was moved, the removal
        continues in the lowest directory that is still open. That is read again, so anything left
        is found there.
        """
        done = self._descent.pop()
        try:
            self._descent.reopen(done)
        except OSError:
            return
        else:
            above = self._levels[-1] if self._levels else None
            directory = parent if above is None else above.descriptor
            assert directory is not None
            self._remove_emptied(directory, done, above)
        finally:
            done.close()

    def _remove_emptied(self, directory: int, done: _Level, above: _Level | None) -> None:
        assert done.descriptor is not None
        try:
            at.rmdir(done.name, dir_fd=directory)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return
            if error.errno == errno.ENOTDIR:
                # Moved, and something else put in its place: delete that. If the directory is still
                # in this tree, it is found when the directory above is read again.
                self._unlink(directory, done.name)
                return
            filled = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
            if filled and not done.left and done.passes < _PASSES:
                self._again(done)
                return
            if not filled or not done.left:  # otherwise each name left has its own failure
                why = BUSY if filled else reason_of(error, done.name, directory)
                self._fail(done.name, why)
            elif above is not None:
                above.left.add(done.name)
            return
        self.removed.directories += 1
        self.removed.freed_bytes += done.blocks * 512
        if above is None:
            self.removed.failures.clear()  # everything is gone after all

    def _again(self, done: _Level) -> None:
        """Enter `done` once more, because something new appeared in it."""
        assert done.descriptor is not None
        status = at.fstat(done.descriptor)
        again = _Level(done.name, at.dup(done.descriptor), status, done.depth)
        again.passes = done.passes
        self._descent.push(again)


def remove_at(parent: int, name: str) -> Removed:
    """Delete `name`, of any type, in the directory open at `parent`; never follow a symlink.

    Failures are returned (path relative to `name`, reason), not raised. A mount point is a failure;
    before Linux 5.6 a bind mount of the same device is not noticed.
    """
    removal = Removal()
    removal.remove(parent, name)
    return removal.removed
