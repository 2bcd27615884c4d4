"""Deleting a tree through directory descriptors, safely.

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
from dataclasses import dataclass, field
from typing import Final

from ... import errors
from ..system import at
from ..system.access import make_accessible
from ..system.at import DIRECTORY_FLAGS
from ..system.obstacle import reason_of
from .walk import OPEN_FRAMES

_PASSES: Final = 8
"""How often a directory is read again because something new appeared in it while it was emptied."""

_NAMES_AT_ONCE: Final = 1000
"""How many subdirectories of one directory are noted before the first of them is entered."""

BUSY: Final = "is being written to; end what writes there, and clean again"

_PULSE: Final = 64
"""After how many files a removal looks up from its work."""


@dataclass(slots=True)
class Removed:
    """What a removal freed (bytes on disk, counted at the last link) and what it could not.

    `links` holds, for each file that had other names at the time, how many names went, the most
    that it had, and its bytes: those who remove its names side by side count it only together.
    """

    freed_bytes: int = 0
    files: int = 0
    directories: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    links: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)

    def add(self, other: Removed) -> None:
        """Count `other` in."""
        self.freed_bytes += other.freed_bytes
        self.files += other.files
        self.directories += other.directories
        self.failures += other.failures
        for key, (gone, most, size) in other.links.items():
            self.note_link(key, gone, most, size)

    def note_link(self, key: tuple[int, int], gone: int, most: int, size: int) -> None:
        """Count that `gone` names of a file went that had `most`; the last one frees its bytes."""
        known = self.links.get(key)
        if known is not None:
            gone, most = gone + known[0], max(most, known[1])
        if gone >= most:
            self.freed_bytes += size
            self.links.pop(key, None)
        elif known is not None or len(self.links) < _LINKS_KEPT:
            self.links[key] = (gone, most, size)


_LINKS_KEPT: Final = 100_000
"""How many files with other names are remembered at a time, so that memory stays bounded."""


def spell_failures(removed: Removed) -> str:
    """What could not be deleted, and why: the first, and how many more."""
    where, what = removed.failures[0]
    if len(removed.failures) > 1:
        why, semicolon, remedy = what.partition("; ")
        what = f"{why}, and {len(removed.failures) - 1} more{semicolon}{remedy}"
    return f"{where}: {what}" if where else what


Part = tuple[int, int]
"""Of how many parts of a directory, and which, from 0."""

WHOLE: Final[Part] = (1, 0)

_WIDE: Final = 1000
"""After how many files a directory is worth halving."""

_MOST_PARTS: Final = 8

Pulse = Callable[["Removal"], bool]
"""Called every now and then in a removal; whether it is to go on."""


class _Frame:
    __slots__ = (
        "blocks",
        "descriptor",
        "identity",
        "is_read",
        "items",
        "left",
        "name",
        "part",
        "passes",
        "pending",
        "seen",
    )

    def __init__(self, name: str, descriptor: int, status: os.stat_result) -> None:
        if status.st_mode & 0o700 != 0o700 and at.RELATIVE:
            # Without these nothing in it can be unlinked. A failure shows at the first unlink.
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, stat.S_IMODE(status.st_mode) | 0o700)
        self.name = name
        self.descriptor: int | None = descriptor
        self.identity = (status.st_dev, status.st_ino)
        self.blocks = status.st_blocks
        self.items: Iterator[os.DirEntry[str]] | None = None
        self.is_read = False
        self.pending: list[str] = []
        self.left: set[str] = set()
        self.passes = 0
        self.seen = 0
        self.part: Part = WHOLE

    def close(self) -> None:
        close = getattr(self.items, "close", None)
        if close is not None:
            close()
        self.items = None
        self.is_read = False
        self.pending = []
        if self.descriptor is not None:
            at.close(self.descriptor)
            self.descriptor = None


class Removal:
    """The removal of one directory tree; deep trees are climbed by `..`, wide ones streamed.

    It can be stopped at any time, and another one takes up what it left.
    """

    def __init__(self, pulse: Pulse | None = None) -> None:
        self.removed = Removed()
        self._pulse = pulse
        self._device = 0
        self._stack: list[_Frame] = []
        self._lowest_open = 1
        """The frames from here up are open; the first one always is."""
        self._stopped = False

    def remove(self, parent: int, name: str) -> bool:
        """Delete `name` in the directory open at `parent`; whether it came to the end of it."""
        failures = self.removed.failures
        try:
            status = at.stat(name, dir_fd=parent, follow_symlinks=False)
            self._device = status.st_dev
            if stat.S_ISDIR(status.st_mode):
                top = self._enter(parent, name)
                if top is not None:
                    self._stack.append(top)
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
        """Delete all that can be in the open directory; whether it came to the end of it.

        Of a `part` (of how many, which) only that: the names whose inode says so.
        """
        status = at.fstat(descriptor)
        self._device = status.st_dev
        top = _Frame("", at.dup(descriptor), status)
        top.part = part
        self._stack.append(top)
        self._run(None)
        return not self._stopped

    def give_away(self) -> tuple[int, Part] | None:
        """A directory, opened, and the part of it that this removal leaves to another, if any.

        A subdirectory as near to the top as there is: they are the largest. Without one, half
        of what is still in a directory of many files.
        """
        for frame in self._stack:
            while frame.descriptor is not None and frame.pending:
                name = frame.pending.pop()
                try:
                    descriptor = at.open(name, DIRECTORY_FLAGS, dir_fd=frame.descriptor)
                except OSError:
                    continue  # whoever comes last sees what it is
                if at.fstat(descriptor).st_dev != self._device:
                    at.close(descriptor)
                    continue
                frame.left.add(name)
                return descriptor, WHOLE
        return self._give_half()

    def _give_half(self) -> tuple[int, Part] | None:
        wide = self._stack[-1] if self._stack else None
        if wide is None or wide.descriptor is None or wide.seen < _WIDE or wide.is_read:
            return None
        of, which = wide.part
        if of >= _MOST_PARTS:
            return None
        wide.part = (2 * of, which)
        wide.left.add("")  # no name of anything: it is not empty yet
        return at.dup(wide.descriptor), (2 * of, which + of)

    def _run(self, parent: int | None) -> None:
        try:
            while self._stack and not self._stopped:
                if self._empty(self._stack[-1]) and not self._stopped:
                    if self._pulse is not None and not self._pulse(self):
                        self._stopped = True
                        break
                    if len(self._stack) == 1 and parent is None:
                        break
                    self._leave(parent)
        finally:
            for frame in self._stack:
                frame.close()

    def _where(self, name: str = "") -> str:
        if not self._stack:
            return ""
        names = [frame.name for frame in self._stack[1:]]
        return "/".join([*names, name] if name else names)

    def _fail(self, name: str, reason: str) -> None:
        """Note that `name` in the directory on top of the stack stays, and why."""
        self.removed.failures.append((self._where(name), reason))
        if self._stack:
            self._stack[-1].left.add(name)

    def _enter(self, parent: int, name: str) -> _Frame | None:
        """The frame of the directory `name` in `parent`; `None` if it cannot be entered."""
        try:
            try:
                descriptor = at.open(name, DIRECTORY_FLAGS, dir_fd=parent)
            except PermissionError:
                make_accessible(parent, name)
                descriptor = at.open(name, DIRECTORY_FLAGS, dir_fd=parent)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                # Swapped for a file or a link since it was listed: then that is what goes.
                self._unlink(parent, name)
                return None
            self._fail(name, reason_of(error, name, parent))
            return None
        status = at.fstat(descriptor)
        if status.st_dev != self._device:
            at.close(descriptor)
            self._fail(name, "another filesystem is mounted here; unmount it first")
            return None
        return _Frame(name, descriptor, status)

    def _empty(self, frame: _Frame) -> bool:
        """Whether nothing more in `frame` can go; `False` once a subdirectory was entered."""
        while True:
            if not frame.is_read and len(frame.pending) < _NAMES_AT_ONCE:
                self._unlink_files(frame)
                if self._stopped:
                    return True
            while frame.pending:
                assert frame.descriptor is not None
                name = frame.pending.pop()
                child = self._enter(frame.descriptor, name) if name not in frame.left else None
                if child is None:
                    continue
                self._stack.append(child)
                if len(self._stack) - self._lowest_open > OPEN_FRAMES:
                    # Found again by `..` from below, and read again: what is gone is gone.
                    self._stack[self._lowest_open].close()
                    self._lowest_open += 1
                return False
            if frame.is_read:
                return True

    def _unlink_files(self, frame: _Frame) -> None:
        """Read on in `frame`: unlink what is no directory, and note the directories."""
        descriptor, pending, left, pulse = frame.descriptor, frame.pending, frame.left, self._pulse
        assert descriptor is not None
        removed = self.removed
        countdown = _PULSE
        of, which = frame.part
        try:
            if frame.items is None:
                frame.items = at.scandir(descriptor)
                frame.passes += 1
            for item in frame.items:
                if of > 1 and item.inode() % of != which:
                    continue
                if item.is_dir(follow_symlinks=False):
                    pending.append(item.name)
                    if len(pending) >= _NAMES_AT_ONCE:
                        return
                    continue
                name = item.name
                if left and name in left:
                    continue
                try:
                    status = item.stat(follow_symlinks=False)
                    at.unlink(name, dir_fd=descriptor)
                except OSError as error:
                    self._not_unlinked(name, error, descriptor)
                    continue
                removed.files += 1
                if status.st_nlink == 1:
                    removed.freed_bytes += status.st_blocks * 512
                else:
                    self._note_link(status)
                countdown -= 1
                if not countdown:
                    countdown = _PULSE
                    frame.seen += _PULSE
                    if pulse is not None and not pulse(self):
                        self._stopped = True
                        return
                    of, which = frame.part
        except OSError as error:
            self._fail("", errors.reason_of(error))
        frame.items = None
        frame.is_read = True

    def _unlink(self, parent: int, name: str) -> None:
        try:
            status = at.stat(name, dir_fd=parent, follow_symlinks=False)
            at.unlink(name, dir_fd=parent)
        except OSError as error:
            self._not_unlinked(name, error, parent)
            return
        self.removed.files += 1
        if status.st_nlink == 1:
            self.removed.freed_bytes += status.st_blocks * 512
        else:
            self._note_link(status)

    def _note_link(self, status: os.stat_result) -> None:
        key = (status.st_dev, status.st_ino)
        self.removed.note_link(key, 1, status.st_nlink, status.st_blocks * 512)

    def _not_unlinked(self, name: str, error: OSError, parent: int) -> None:
        # Gone, or swapped for a directory, which the next pass enters.
        if error.errno not in (errno.ENOENT, errno.EISDIR):
            self._fail(name, reason_of(error, name, parent))

    def _leave(self, parent: int | None) -> None:
        """Remove the emptied top of the stack from the directory above, and go on there."""
        done = self._stack.pop()
        assert done.descriptor is not None
        self._lowest_open = max(1, min(self._lowest_open, len(self._stack) - 1))
        above = self._stack[-1] if self._stack else None
        try:
            if above is not None and above.descriptor is None:
                above.descriptor = self._climb(done, above)
                if above.descriptor is None:
                    return
            directory = parent if above is None else above.descriptor
            assert directory is not None
            self._remove_emptied(directory, done, above)
        finally:
            done.close()

    def _climb(self, done: _Frame, above: _Frame) -> int | None:
        """The directory above `done`, opened from it, if it is still the one we came from."""
        assert done.descriptor is not None
        with contextlib.suppress(OSError):
            descriptor = at.open("..", DIRECTORY_FLAGS, dir_fd=done.descriptor)
            status = at.fstat(descriptor)
            if (status.st_dev, status.st_ino) == above.identity:
                return descriptor
            at.close(descriptor)
        # Somebody moved it, and the way up is lost. The lowest directory that is still open is
        # read again before it is given up, so what did stay below it is found from there.
        while self._stack[-1].descriptor is None:
            self._stack.pop()
        self._lowest_open = max(1, len(self._stack) - 1)
        return None

    def _remove_emptied(self, directory: int, done: _Frame, above: _Frame | None) -> None:
        assert done.descriptor is not None
        try:
            at.rmdir(done.name, dir_fd=directory)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return
            if error.errno == errno.ENOTDIR:
                # Moved away, and something else put in its place: that goes, and if it itself
                # is still in this tree, it is found when the directory above is read again.
                self._unlink(directory, done.name)
                return
            filled = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
            if filled and not done.left and done.passes < _PASSES:
                self._again(done)
                return
            if not filled or not done.left:  # otherwise what was left has said why
                why = BUSY if filled else reason_of(error, done.name, directory)
                self._fail(done.name, why)
            elif above is not None:
                above.left.add(done.name)
            return
        self.removed.directories += 1
        self.removed.freed_bytes += done.blocks * 512
        if above is None:
            self.removed.failures.clear()  # all of it is gone after all

    def _again(self, done: _Frame) -> None:
        """Put `done` back on the stack, because something appeared in it meanwhile."""
        assert done.descriptor is not None
        again = _Frame(done.name, at.dup(done.descriptor), at.fstat(done.descriptor))
        again.passes = done.passes
        self._stack.append(again)


def unlink_at(parent: int, name: str) -> Removed:
    """Delete the file, link or the like `name` in the directory open at `parent`.

    Never a directory, whatever is put in its place meanwhile. Raises `OSError`.
    """
    status = at.stat(name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    at.unlink(name, dir_fd=parent)
    removed = Removed(files=1)
    removed.note_link((status.st_dev, status.st_ino), 1, status.st_nlink, status.st_blocks * 512)
    return removed


def rmdir_at(parent: int, name: str) -> Removed:
    """Remove the directory `name` in the directory open at `parent`, if it is empty.

    Raises `OSError`.
    """
    status = at.stat(name, dir_fd=parent, follow_symlinks=False)
    at.rmdir(name, dir_fd=parent)
    return Removed(freed_bytes=status.st_blocks * 512, directories=1)


def remove_at(parent: int, name: str) -> Removed:
    """Delete `name` in the directory open at `parent`, whatever it is; a link is never followed.

    What could not be deleted is in the failures (path relative to `name`, reason); nothing is
    raised for it. A directory on another device is such a failure; a bind mount of the same one
    has to be looked for before (`mounts_below`).
    """
    removal = Removal()
    removal.remove(parent, name)
    return removal.removed
