"""One walk over a tree by directory descriptors, to measure its size and its newest change.

It never follows a symlink, never crosses into another filesystem, and goes to any depth with a
bounded number of descriptors. It writes nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import Final

from ...core.named_tuple import NamedTuple
from ...errors import in_place, reason_of
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.mounts import counts_subdirectories
from ..system.permissions import is_closed
from .marker_names import MARKS, OF_GIT, note, note_leaf
from .measured import NEVER, Measured, Names
from .open_directories import Descent, Level

_LOOKED_AHEAD: Final = 1000
"""How many subdirectories of one directory are visited before any of theirs."""


class Sharing(NamedTuple):
    """How a walk gives part of its work to other workers.

    `wanted` returns whether a worker waits for work. `give` offers an open directory with its path,
    and returns whether it was taken.
    """

    wanted: Callable[[], bool]
    give: Callable[[int, str], bool]


class Unfinished(Exception):
    """The time for a walk is over."""


def measure(
    descriptor: int,
    mounts: frozenset[str] = frozenset(),
    *,
    where: str = "",
    enough_ns: int | None = None,
    until_ns: int = NEVER,
    is_over: Callable[[], bool] | None = None,
    sharing: Sharing | None = None,
    names_only: bool = False,
) -> Measured:
    """The measure of the directory open at `descriptor`, which stays open.

    `mounts` are the mount points inside, relative to it. An unreadable file or directory becomes a
    problem (path and reason); one that vanishes meanwhile is left out. With `enough_ns` the walk
    ends at the first change that is at least as new, and looks first where one is likely.
    Modifications after `until_ns` are in the future, and never enough. `where` is the path of the
    directory itself, if it is part of a larger tree. With `names_only` no file is examined, and
    only the roots and repositories are valid. Raises `Unfinished` once `is_over` returns true.
    """
    walk = _Walk(mounts, enough_ns, until_ns, is_over, sharing, names_only)
    walk.run(descriptor, where)
    return walk.measured


class _Node:
    """A directory of a walk; its path is built only on request."""

    __slots__ = ("name", "parent")

    def __init__(self, parent: _Node | None, name: str) -> None:
        self.parent = parent
        self.name = name

    def path(self, last: str = "") -> str:
        parts = [last] if last else []
        node: _Node | None = self
        while node is not None:
            if node.name:
                parts.append(node.name)
            node = node.parent
        return "/".join(reversed(parts))


class _Level(Level):
    """A level with its `pending` subdirectories; `ahead` maps those already visited to the names of
    their own subdirectories.
    """

    __slots__ = ("ahead", "node", "pending")

    def __init__(
        self,
        node: _Node,
        descriptor: int,
        status: os.stat_result,
        depth: int,
        pending: list[str],
        ahead: dict[str, list[str]] | None,
    ) -> None:
        super().__init__(descriptor, status, depth)
        self.node = node
        self.pending = pending
        self.ahead = ahead


class _Enough(Exception):
    """The walk has found a change that is new enough."""


class _Walk:
    def __init__(
        self,
        mounts: frozenset[str],
        enough_ns: int | None,
        until_ns: int,
        is_over: Callable[[], bool] | None,
        sharing: Sharing | None,
        names_only: bool,
    ) -> None:
        self.mounts = mounts
        self.enough_ns = enough_ns
        self.until_ns = until_ns
        self.is_over = is_over
        self.sharing = sharing
        self.names_only = names_only
        self.skips_leaves = False
        """Whether a directory without subdirectories is recognised by its link count, and need not
        be read if only names matter."""
        self.measured = Measured()
        self.newest: tuple[_Node, str] | None = None
        self.device = 0
        self.descent: Descent[_Level] = Descent()

    def run(self, descriptor: int, where: str) -> None:
        status = at.fstat(descriptor)
        self.device = status.st_dev
        try:
            top = _Node(None, where)
            if self.names_only and status.st_nlink >= 2:
                self.skips_leaves = counts_subdirectories(descriptor)
            pending = self._visit(descriptor, status, top)
            ahead = None
            if self.enough_ns is not None:
                ahead = self._look_ahead(descriptor, top, pending)
            if pending:  # few small entries have subdirectories
                self.descent.push(_Level(top, at.dup(descriptor), status, 0, pending, ahead))
                self._descend()
        except _Enough:
            self.measured.partial = True
        finally:
            self.descent.close()
        if self.newest is not None:
            node, last = self.newest
            self.measured.changed_in = node.path(last)
        self.measured.problems.sort()
        self.measured.roots.sort()
        self.measured.repositories.sort()

    def _descend(self) -> None:
        descent, levels = self.descent, self.descent.levels
        is_over, sharing = self.is_over, self.sharing
        looks_ahead = self.enough_ns is not None
        while levels:
            if is_over is not None and is_over():
                raise Unfinished
            if sharing is not None and sharing.wanted():
                self._share(sharing)
            level = levels[-1]
            if not level.pending:
                self._leave()
                continue
            assert level.descriptor is not None
            found = self._open(level.descriptor, _Node(level.node, level.pending.pop()))
            if found is None:
                continue
            child, status, node = found
            pending = level.ahead.get(node.name) if level.ahead else None
            if not level.pending:
                # Its last child: nothing will be opened from here again, so a chain of any length
                # needs one descriptor. The levels above are reached from the child through `..`.
                descent.pop().close()
            try:
                if pending is None:
                    pending = self._visit(child, status, node)
                ahead = self._look_ahead(child, node, pending) if looks_ahead else None
            except BaseException:
                at.close(child)
                raise
            if not pending and level.descriptor is not None:
                at.close(child)  # most directories have no subdirectories, and need no level
                continue
            descent.push(_Level(node, child, status, level.depth + 1, pending, ahead))

    def _open(self, parent: int, node: _Node) -> tuple[int, os.stat_result, _Node] | None:
        """The directory of `node` in `parent`, opened; `None` if it is not walked."""
        try:
            child = at.open(node.name, DIRECTORY_FLAGS, dir_fd=parent)
        except OSError as error:
            self._cannot(node, error)
            return None
        status = at.fstat(child)
        if status.st_dev != self.device or (self.mounts and node.path() in self.mounts):
            path = node.path()
            self.measured.mounted = min(self.measured.mounted or path, path)
            at.close(child)
            return None
        return child, status, node

    def _share(self, sharing: Sharing) -> None:
        """Give away one directory, as near to the top as possible, where they are the largest."""
        levels = self.descent.levels
        for level in levels:
            if level.descriptor is None or not level.pending:
                continue
            if level is levels[-1] and len(level.pending) == 1:
                return  # the last one: walking it takes no longer than sending it
            name = level.pending.pop()
            found = self._open(level.descriptor, _Node(level.node, name))
            if found is not None:
                child, _, node = found
                if not sharing.give(child, node.path()):
                    level.pending.append(name)
                at.close(child)
            return

    def _leave(self) -> None:
        """Go up from a finished directory; if that fails, the pending rest above is a problem."""
        done = self.descent.pop()
        above = self.descent.levels[-1] if self.descent.levels else None
        try:
            self.descent.reopen(done)
        except OSError as error:
            assert above is not None
            self._fail(above.node, error)
        finally:
            done.close()

    def _visit(self, descriptor: int, status: os.stat_result, node: _Node) -> list[str]:
        """Count the directory and its files; return the names of its subdirectories."""
        if self.skips_leaves and status.st_nlink == 2:
            note_leaf(self.measured, descriptor, node.path())
            return []
        pending: list[str] = []
        measured = self.measured
        measured.directories += 1
        if status.st_mtime_ns >= measured.changed_ns and (
            status.st_mtime_ns > measured.changed_ns or status.st_ino >= measured.changed_inode
        ):
            self._is_newer(status, node, "")
        # Local variables, since a scan spends most of its time in this loop.
        known, names_only = measured.names, self.names_only
        newest, newest_inode = measured.changed_ns, measured.changed_inode
        blocks = status.st_blocks
        apparent = status.st_size
        files = 0
        marks: list[str] = []
        try:
            with at.scandir(descriptor) as items:
                for item in items:
                    name = item.name
                    if item.is_dir(follow_symlinks=False):
                        pending.append(name)
                        if name in MARKS:
                            marks.append(name)
                        continue
                    if name in OF_GIT:
                        marks.append(name)
                    if names_only:
                        continue
                    try:
                        seen = item.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    files += 1
                    if seen.st_mtime_ns >= newest and (
                        seen.st_mtime_ns > newest or seen.st_ino >= newest_inode
                    ):
                        self._is_newer(seen, node, name)
                        newest, newest_inode = measured.changed_ns, measured.changed_inode
                    if seen.st_nlink > 1 and not _is_first(known, seen):
                        continue
                    blocks += seen.st_blocks
                    apparent += seen.st_size
        except OSError as error:
            self._cannot(node, error)
        measured.size += blocks * 512
        measured.apparent += apparent
        measured.length += apparent - status.st_size
        measured.files += files
        if marks:
            note(self.measured, descriptor, node.path(), marks)
        if self.enough_ns is not None and len(pending) > 1:
            self._newest_last(descriptor, node, pending)
        return pending

    def _is_newer(self, seen: os.stat_result, node: _Node, name: str) -> None:
        """Note a change that is at least as new as the newest one so far."""
        measured = self.measured
        if seen.st_mtime_ns > self.until_ns:
            if seen.st_mtime_ns > measured.future_ns:
                measured.future_ns, measured.future_in = seen.st_mtime_ns, node.path(name)
            return
        told = (seen.st_mtime_ns, seen.st_ino)
        known = (measured.changed_ns, measured.changed_inode)
        if told > known or (
            # The same file under another name.
            told == known and self.newest and node.path(name) > self.newest[0].path(self.newest[1])
        ):
            measured.changed_ns, measured.changed_inode = told
            self.newest = (node, name)
            if self.enough_ns is not None and measured.changed_ns >= self.enough_ns:
                raise _Enough

    def _newest_last(self, descriptor: int, node: _Node, pending: list[str]) -> None:
        """Sort `pending` by change, the newest last: the walk takes the next one from the end."""
        changed: dict[str, int] = {}
        for name in pending:
            changed[name] = 0
            with contextlib.suppress(OSError):
                status = at.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode) and status.st_dev == self.device:
                    changed[name] = status.st_mtime_ns
                    if status.st_mtime_ns >= self.measured.changed_ns:
                        self._is_newer(status, _Node(node, name), "")
        pending.sort(key=changed.__getitem__)

    def _look_ahead(self, descriptor: int, node: _Node, pending: list[str]) -> dict[str, list[str]]:
        """The subdirectories of each subdirectory: all are visited before any is descended into.

        Used only if one new change is enough, which is found sooner level by level. Subdirectories
        without subdirectories are then done, and no longer `pending`.
        """
        ahead: dict[str, list[str]] = {}
        for name in pending[-_LOOKED_AHEAD:]:
            found = self._open(descriptor, _Node(node, name))
            if found is not None:
                child, status, below = found
                try:
                    ahead[name] = self._visit(child, status, below)
                finally:
                    at.close(child)
        pending[-_LOOKED_AHEAD:] = [name for name in pending[-_LOOKED_AHEAD:] if ahead.get(name)]
        return ahead

    def _cannot(self, node: _Node, error: OSError) -> None:
        # Gone, or no longer a directory: a process is working there, which is not a problem.
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            self._fail(node, error)

    def _fail(self, node: _Node, error: OSError) -> None:
        path, what = node.path(), reason_of(error)
        self.measured.problems.append((path, what))
        if not is_closed(error):
            self.measured.unread = self.measured.unread or in_place(what, path)


def _is_first(files: Names, seen: os.stat_result) -> bool:
    """Whether this is the first name found of a file with several."""
    key = (seen.st_dev, seen.st_ino)
    known = files.get(key)
    if known is None:
        files[key] = (seen.st_nlink, 1, seen.st_blocks * 512, seen.st_size)
        return True
    names, met, size, apparent = known
    files[key] = (max(names, seen.st_nlink), met + 1, size, apparent)
    return False
