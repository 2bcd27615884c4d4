"""One walk over a tree by directory descriptors: how much there is, and when it last changed.

It never follows a symlink, never crosses into another filesystem, and goes to any depth in bounded
descriptors. It writes nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from ...core.layout import STORE
from ...errors import StorageError, in_place, reason_of
from ..system import at
from ..system.at import DIRECTORY_FLAGS

OPEN_FRAMES: Final = 48
"""How many directories of one walk may be open at once; deeper ones are opened again by `..`."""

_LOOKED_AHEAD: Final = 1000
"""How many subdirectories of one directory are looked at before their own are."""

_NEVER: Final = 1 << 63
"""Later than any time that a filesystem can tell, in nanoseconds."""

_GIT: Final = ".git"
_MARKS: Final = (_GIT, "HEAD")
"""What a work tree of git holds, and what a bare repository does."""

Packed: TypeAlias = tuple[Any, ...]


class Measured:
    """What a walk found below one directory, itself included; sizes in bytes.

    `links` holds, for each file with more than one name, how many it has, how many of them were
    met, and the two sizes that were counted for the first of them. `partial` says that the walk
    stopped at a change that was new enough, so that only `changed_ns` and `changed_in` count.
    `roots` are the directories that hold a store of this program, `repositories` those of git.
    """

    __slots__ = (
        "apparent", "changed_in", "changed_inode", "changed_ns", "directories", "files", "links",
        "mounted", "partial", "problems", "repositories", "roots", "size",
    )  # fmt: skip

    def __init__(self) -> None:
        self.size = 0
        self.apparent = 0
        self.files = 0
        self.directories = 0
        self.changed_ns = -_NEVER
        self.changed_inode = 0
        self.changed_in = ""
        self.links: dict[tuple[int, int], tuple[int, int, int, int]] = {}
        self.problems: list[tuple[str, str]] = []
        self.mounted: str | None = None
        self.partial = False
        self.roots: list[str] = []
        self.repositories: list[str] = []

    @property
    def shared(self) -> int:
        """The bytes that removing would not free, as a link elsewhere keeps them."""
        return sum(size for names, met, size, _ in self.links.values() if met < names)

    def add(self, other: Measured) -> None:
        """Count in what was found in another part of the same tree; the order does not matter."""
        self.size += other.size
        self.apparent += other.apparent
        self.files += other.files
        self.directories += other.directories
        self.partial = self.partial or other.partial
        self.roots = sorted(self.roots + other.roots)
        self.repositories = sorted(self.repositories + other.repositories)
        self.problems = sorted(self.problems + other.problems)
        if other.mounted is not None:
            self.mounted = min(self.mounted or other.mounted, other.mounted)
        if other.newness > self.newness:
            self.changed_ns, self.changed_inode, self.changed_in = other.newness
        for key, (names, met, size, apparent) in other.links.items():
            known = self.links.get(key)
            if known is not None:
                self.size -= size
                self.apparent -= apparent
                names, met = max(names, known[0]), met + known[1]
            self.links[key] = (names, met, size, apparent)

    @property
    def newness(self) -> tuple[int, int, str]:
        """The newest change; of several at one instant always the same, however it was found."""
        return self.changed_ns, self.changed_inode, self.changed_in

    def pack(self) -> Packed:
        """The same as plain values, to be sent to another process; `unpack` undoes it."""
        return tuple(getattr(self, name) for name in self.__slots__)

    @classmethod
    def unpack(cls, packed: Packed) -> Measured:
        """What `pack` was called on."""
        measured = cls()
        for name, value in zip(cls.__slots__, packed, strict=True):
            setattr(measured, name, value)
        return measured


class Sharing(NamedTuple):
    """How a walk lets others have a part of its work.

    `wanted` is whether anybody waits for some; `give` takes an open directory and its path, and
    is whether somebody took it.
    """

    wanted: Callable[[], bool]
    give: Callable[[int, str], bool]


class Inside(NamedTuple):
    """What in a tree may protect it, by paths relative to it ("" is the top).

    `roots` are directories that hold a store of this program, `repositories` work trees of git and
    bare repositories.
    """

    roots: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()


class Unfinished(Exception):
    """A walk was stopped because its time was over."""


def measure(
    descriptor: int,
    mounts: frozenset[str] = frozenset(),
    *,
    where: str = "",
    enough_ns: int | None = None,
    is_over: Callable[[], bool] | None = None,
    sharing: Sharing | None = None,
) -> Measured:
    """The measure of the directory open at `descriptor`, which stays open.

    `mounts` are the mount points inside, relative to it. What cannot be read becomes a problem
    (path and reason), what vanishes meanwhile is left out. With `enough_ns` the walk ends at the
    first change that is at least so new, and looks first where one is likely. `where` is the
    directory's own path, for a part of a larger tree. Raises `Unfinished` once `is_over` says so.
    """
    walk = _Walk(mounts, enough_ns, is_over, sharing)
    walk.run(descriptor, where)
    return walk.measured


class _Node:
    """A directory on the way of a walk; the path is put together only when somebody asks."""

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


class _Frame:
    __slots__ = ("ahead", "depth", "descriptor", "identity", "node", "pending")

    def __init__(
        self,
        node: _Node,
        descriptor: int,
        status: os.stat_result,
        depth: int,
        pending: list[str],
        ahead: dict[str, list[str]] | None,
    ) -> None:
        self.node = node
        self.descriptor: int | None = descriptor
        self.identity = (status.st_dev, status.st_ino)
        self.depth = depth
        self.pending = pending
        self.ahead = ahead
        """The subdirectories that were visited ahead, and the names of theirs."""


class _Enough(Exception):
    """The walk has found a change that is new enough."""


class _Walk:
    def __init__(
        self,
        mounts: frozenset[str],
        enough_ns: int | None,
        is_over: Callable[[], bool] | None,
        sharing: Sharing | None,
    ) -> None:
        self.mounts = mounts
        self.enough_ns = enough_ns
        self.is_over = is_over
        self.sharing = sharing
        self.measured = Measured()
        self.newest: tuple[_Node, str] | None = None
        self.device = 0
        self.stack: list[_Frame] = []

    def run(self, descriptor: int, where: str) -> None:
        status = at.fstat(descriptor)
        self.device = status.st_dev
        try:
            top = _Node(None, where)
            pending = self._visit(descriptor, status, top)
            ahead = None
            if self.enough_ns is not None:
                ahead = self._look_ahead(descriptor, top, pending)
            self.stack.append(_Frame(top, at.dup(descriptor), status, 0, pending, ahead))
            self._descend()
        except _Enough:
            self.measured.partial = True
        finally:
            for frame in self.stack:
                if frame.descriptor is not None:
                    at.close(frame.descriptor)
        if self.newest is not None:
            node, last = self.newest
            self.measured.changed_in = node.path(last)
        self.measured.problems.sort()
        self.measured.roots.sort()
        self.measured.repositories.sort()

    def _descend(self) -> None:
        stack = self.stack
        is_over, sharing = self.is_over, self.sharing
        looks_ahead = self.enough_ns is not None
        lowest_open = 0
        while stack:
            if is_over is not None and is_over():
                raise Unfinished
            if sharing is not None and sharing.wanted():
                self._share(sharing)
            frame = stack[-1]
            if not frame.pending:
                stack.pop()
                self._close(frame)
                lowest_open = min(lowest_open, max(len(stack) - 1, 0))
                continue
            assert frame.descriptor is not None
            found = self._open(frame.descriptor, _Node(frame.node, frame.pending.pop()))
            if found is None:
                continue
            child, status, node = found
            pending = frame.ahead.get(node.name) if frame.ahead else None
            if not frame.pending:
                # Its last child: nothing will be opened from here again, so a chain of any length
                # needs one descriptor. Those above are found from the child by `..`.
                stack.pop()
                at.close(frame.descriptor)
                frame.descriptor = None
            try:
                if pending is None:
                    pending = self._visit(child, status, node)
                ahead = self._look_ahead(child, node, pending) if looks_ahead else None
            except BaseException:
                at.close(child)
                raise
            if not pending and frame.descriptor is not None:
                at.close(child)  # most have no subdirectories, and need no frame
                continue
            stack.append(_Frame(node, child, status, frame.depth + 1, pending, ahead))
            if len(stack) - lowest_open > OPEN_FRAMES:
                old = stack[lowest_open]
                if old.descriptor is not None:
                    at.close(old.descriptor)
                    old.descriptor = None
                lowest_open += 1

    def _open(self, parent: int, node: _Node) -> tuple[int, os.stat_result, _Node] | None:
        """The directory of `node` in `parent`, opened; `None` if it is not to be walked."""
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
        """Give away one directory, as near to the top as there is one: they are the largest."""
        for frame in self.stack:
            if frame.descriptor is None or not frame.pending:
                continue
            if frame is self.stack[-1] and len(frame.pending) == 1:
                return  # the last of all: to walk it takes no longer than to send it
            name = frame.pending.pop()
            found = self._open(frame.descriptor, _Node(frame.node, name))
            if found is not None:
                child, _, node = found
                if not sharing.give(child, node.path()):
                    frame.pending.append(name)
                at.close(child)
            return

    def _close(self, done: _Frame) -> None:
        """Close a finished directory, having opened the next one from it if that was closed."""
        assert done.descriptor is not None
        stack = self.stack
        above = stack[-1] if stack else None
        if above is not None and above.descriptor is None:
            reason = "moved while it was being read"
            try:
                descriptor = _climb(done.descriptor, done.depth - above.depth)
                status = at.fstat(descriptor)
                if (status.st_dev, status.st_ino) == above.identity:
                    above.descriptor = descriptor
                else:
                    at.close(descriptor)
            except OSError as error:
                reason = reason_of(error)
            if above.descriptor is None:
                # The way up is lost, and with it what was left to read there.
                self.measured.problems.append((above.node.path(), reason))
                while stack and stack[-1].descriptor is None:
                    stack.pop()
        at.close(done.descriptor)

    def _visit(self, descriptor: int, status: os.stat_result, node: _Node) -> list[str]:
        """Count the directory in and all that it holds but its subdirectories; their names."""
        pending: list[str] = []
        measured = self.measured
        measured.directories += 1
        if status.st_mtime_ns >= measured.changed_ns and (
            status.st_mtime_ns > measured.changed_ns or status.st_ino >= measured.changed_inode
        ):
            self._is_newer(status, node, "")
        # Plain names, since this loop is where a scan spends its time.
        links = measured.links
        newest, newest_inode = measured.changed_ns, measured.changed_inode
        size = status.st_blocks * 512
        apparent = status.st_size
        files = 0
        marks: list[str] = []
        try:
            with at.scandir(descriptor) as items:
                for item in items:
                    name = item.name
                    if item.is_dir(follow_symlinks=False):
                        pending.append(name)
                        continue
                    if name in _MARKS:
                        marks.append(name)
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
                    if seen.st_nlink > 1:
                        key = (seen.st_dev, seen.st_ino)
                        known = links.get(key)
                        if known is not None:
                            links[key] = (max(known[0], seen.st_nlink), known[1] + 1, *known[2:])
                            continue
                        links[key] = (seen.st_nlink, 1, seen.st_blocks * 512, seen.st_size)
                    size += seen.st_blocks * 512
                    apparent += seen.st_size
        except OSError as error:
            self._cannot(node, error)
        measured.size += size
        measured.apparent += apparent
        measured.files += files
        self._note(node, pending, marks)
        if self.enough_ns is not None and len(pending) > 1:
            self._newest_last(descriptor, node, pending)
        return pending

    def _note(self, node: _Node, directories: list[str], marks: list[str]) -> None:
        """Note a directory that is a root of this program or a repository."""
        if STORE in directories:
            self.measured.roots.append(node.path())
        if _GIT in marks or _GIT in directories:
            self.measured.repositories.append(node.path())
        elif marks and "objects" in directories and "refs" in directories:
            path = node.path()
            if _GIT not in path.split("/"):  # which belongs to the work tree around it
                self.measured.repositories.append(path)

    def _is_newer(self, seen: os.stat_result, node: _Node, name: str) -> None:
        """Take in a change that is as new as the newest so far, or newer."""
        measured = self.measured
        told = (seen.st_mtime_ns, seen.st_ino)
        known = (measured.changed_ns, measured.changed_inode)
        if told > known or (
            # The same file by another name.
            told == known and self.newest is not None and node.path(name) > self._newest_path()
        ):
            measured.changed_ns, measured.changed_inode = told
            self.newest = (node, name)
            if self.enough_ns is not None and measured.changed_ns >= self.enough_ns:
                raise _Enough

    def _newest_path(self) -> str:
        assert self.newest is not None
        node, name = self.newest
        return node.path(name)

    def _newest_last(self, descriptor: int, node: _Node, pending: list[str]) -> None:
        """Put the directory that changed last at the end, from where the walk takes the next."""
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
        """What lies in the subdirectories, looked at before what lies deeper in any of them.

        Only where one change may be enough: it is found sooner level by level. Those that have
        no subdirectories are dealt with then, and no longer `pending`.
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
        # Gone, or no longer a directory: somebody is working there, which is no problem of ours.
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            self.measured.problems.append((node.path(), reason_of(error)))


def _climb(descriptor: int, levels: int) -> int:
    """A new descriptor of the directory `levels` above the one open at `descriptor`."""
    current = at.dup(descriptor)
    for _ in range(levels):
        try:
            above = at.open("..", DIRECTORY_FLAGS, dir_fd=current)
        finally:
            at.close(current)
        current = above
    return current


class _Names(_Walk):
    """A walk that looks at names alone."""

    def _visit(self, descriptor: int, status: os.stat_result, node: _Node) -> list[str]:
        pending: list[str] = []
        marks: list[str] = []
        try:
            with at.scandir(descriptor) as items:
                for item in items:
                    name = item.name
                    if item.is_dir(follow_symlinks=False):
                        pending.append(name)
                    elif name in _MARKS:
                        marks.append(name)
        except OSError as error:
            self._cannot(node, error)
        self._note(node, pending, marks)
        return pending


def look_inside(parent: int, name: str) -> Inside:
    """What in the directory `name` of the open `parent` may protect it; nothing if it is none.

    What cannot be read is passed over: nobody can work there by its path.
    """
    try:
        descriptor = at.open(name, DIRECTORY_FLAGS, dir_fd=parent)
    except OSError:
        return Inside()
    try:
        walk = _Names(frozenset(), None, None, None)
        walk.run(descriptor, "")
    finally:
        at.close(descriptor)
    return Inside(tuple(walk.measured.roots), tuple(walk.measured.repositories))


def newest_change(root: int, path: str) -> tuple[float, str]:
    """When the entry at `path` below the open `root` last changed inside, and where.

    Raises `OSError` if not all of it can be looked at.
    """
    return look_at(root, path)[0]


def look_at(root: int, path: str) -> tuple[tuple[float, str], Inside]:
    """As `newest_change`, and what in it may protect it, seen by the same walk."""
    status = at.stat(path, dir_fd=root, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        return (status.st_mtime_ns / 1e9, ""), Inside()
    descriptor = at.open(path, DIRECTORY_FLAGS, dir_fd=root)
    try:
        measured = measure(descriptor)
    finally:
        at.close(descriptor)
    for where, what in measured.problems:
        raise StorageError(0, in_place(what, where))
    newest = (measured.changed_ns / 1e9, measured.changed_in)
    return newest, Inside(tuple(measured.roots), tuple(measured.repositories))
