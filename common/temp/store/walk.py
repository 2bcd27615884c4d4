"""One walk over a tree by directory descriptors: how much there is, and when it last changed.

It never follows a symlink, never crosses into another filesystem, and goes to any depth in bounded
descriptors. It writes nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import Final

from ..errors import StorageError

DIRECTORY_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
ROOT_FLAGS: Final = DIRECTORY_FLAGS & ~getattr(os, "O_NOFOLLOW", 0)
"""For a directory that may be reached through a link, as a root may."""

ANY_FLAGS: Final = DIRECTORY_FLAGS & ~getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NONBLOCK", 0)
"""For whatever lies there but a link; a fifo without a writer is not waited for."""

_OPEN_FRAMES: Final = 48
"""How many directories of one walk may be open at once; deeper ones are opened again by `..`."""


class _Node:
    """A directory on the way of a walk; the path is put together only when somebody asks."""

    __slots__ = ("name", "parent")

    def __init__(self, parent: _Node | None, name: str) -> None:
        self.parent = parent
        self.name = name

    def path(self, last: str = "") -> str:
        parts = [last] if last else []
        node: _Node | None = self
        while node is not None and node.parent is not None:
            parts.append(node.name)
            node = node.parent
        return "/".join(reversed(parts))


@dataclass(slots=True)
class _Frame:
    node: _Node
    descriptor: int | None
    identity: tuple[int, int]
    depth: int
    pending: list[str]


@dataclass(slots=True)
class Measured:
    """What a walk found below one directory, itself included; sizes in bytes."""

    size: int = 0
    apparent: int = 0
    shared: int = 0
    files: int = 0
    directories: int = 0
    changed_ns: int = 0
    changed_in: str = ""
    problems: list[tuple[str, str]] = field(default_factory=list)
    mounted: str | None = None


def measure(descriptor: int, mounts: frozenset[str] = frozenset()) -> Measured:
    """The measure of the directory open at `descriptor`, which stays open.

    `mounts` are the mount points inside, relative to it. What cannot be read becomes a problem
    (path and reason), what vanishes meanwhile is left out.
    """
    walk = _Walk(mounts)
    walk.run(descriptor)
    return walk.result()


class _Walk:
    def __init__(self, mounts: frozenset[str]) -> None:
        self.mounts = mounts
        self.measured = Measured()
        self.links: dict[tuple[int, int], list[int]] = {}
        self.newest: tuple[_Node, str] | None = None
        self.device = 0

    def run(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self.device = status.st_dev
        top = _Node(None, "")
        stack = [self._visit(os.dup(descriptor), status, top, 0)]
        try:
            self._descend(stack)
        finally:
            for frame in stack:
                if frame.descriptor is not None:
                    os.close(frame.descriptor)

    def _descend(self, stack: list[_Frame]) -> None:
        lowest_open = 0
        while stack:
            frame = stack[-1]
            if not frame.pending:
                stack.pop()
                self._close(frame, stack)
                lowest_open = min(lowest_open, max(len(stack) - 1, 0))
                continue
            assert frame.descriptor is not None
            name = frame.pending.pop()
            node = _Node(frame.node, name)
            try:
                child = os.open(name, DIRECTORY_FLAGS, dir_fd=frame.descriptor)
            except OSError as error:
                self._cannot(node, error)
                continue
            status = os.fstat(child)
            if status.st_dev != self.device or (self.mounts and node.path() in self.mounts):
                self.measured.mounted = self.measured.mounted or node.path()
                os.close(child)
                continue
            if not frame.pending:
                # Its last child: nothing will be opened from here again, so a chain of any length
                # needs one descriptor. Those above are found from the child by `..`.
                stack.pop()
                os.close(frame.descriptor)
                frame.descriptor = None
            stack.append(self._visit(child, status, node, frame.depth + 1))
            if len(stack) - lowest_open > _OPEN_FRAMES:
                old = stack[lowest_open]
                if old.descriptor is not None:
                    os.close(old.descriptor)
                    old.descriptor = None
                lowest_open += 1

    def _close(self, done: _Frame, stack: list[_Frame]) -> None:
        """Close a finished directory, having opened the next one from it if that was closed."""
        assert done.descriptor is not None
        above = stack[-1] if stack else None
        if above is not None and above.descriptor is None:
            reason = "moved while it was being read"
            try:
                descriptor = _climb(done.descriptor, done.depth - above.depth)
                status = os.fstat(descriptor)
                if (status.st_dev, status.st_ino) == above.identity:
                    above.descriptor = descriptor
                else:
                    os.close(descriptor)
            except OSError as error:
                reason = error.strerror or str(error)
            if above.descriptor is None:
                # The way up is lost, and with it what was left to read there.
                self.measured.problems.append((above.node.path(), reason))
                while stack and stack[-1].descriptor is None:
                    stack.pop()
        os.close(done.descriptor)

    def _visit(self, descriptor: int, status: os.stat_result, node: _Node, depth: int) -> _Frame:
        measured = self.measured
        measured.directories += 1
        measured.size += status.st_blocks * 512
        measured.apparent += status.st_size
        if status.st_mtime_ns > measured.changed_ns:
            measured.changed_ns = status.st_mtime_ns
            self.newest = (node, "")
        pending: list[str] = []
        try:
            with os.scandir(descriptor) as items:
                for item in items:
                    if item.is_dir(follow_symlinks=False):
                        pending.append(item.name)
                        continue
                    try:
                        seen = item.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    measured.files += 1
                    if seen.st_mtime_ns > measured.changed_ns:
                        measured.changed_ns = seen.st_mtime_ns
                        self.newest = (node, item.name)
                    if seen.st_nlink > 1:
                        key = (seen.st_dev, seen.st_ino)
                        link = self.links.get(key)
                        if link is not None:
                            link[0] -= 1
                            continue
                        self.links[key] = [seen.st_nlink - 1, seen.st_blocks * 512]
                    measured.size += seen.st_blocks * 512
                    measured.apparent += seen.st_size
        except OSError as error:
            self._cannot(node, error)
        return _Frame(node, descriptor, (status.st_dev, status.st_ino), depth, pending)

    def _cannot(self, node: _Node, error: OSError) -> None:
        # Gone, or no longer a directory: somebody is working there, which is no problem of ours.
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            self.measured.problems.append((node.path(), error.strerror or str(error)))

    def result(self) -> Measured:
        measured = self.measured
        measured.shared = sum(size for missing, size in self.links.values() if missing > 0)
        if self.newest is not None:
            node, last = self.newest
            measured.changed_in = node.path(last)
        return measured


def _climb(descriptor: int, levels: int) -> int:
    """A new descriptor of the directory `levels` above the one open at `descriptor`."""
    current = os.dup(descriptor)
    for _ in range(levels):
        try:
            above = os.open("..", DIRECTORY_FLAGS, dir_fd=current)
        finally:
            os.close(current)
        current = above
    return current


def newest_change(root: int, path: str) -> tuple[float, str]:
    """When the entry at `path` below the open `root` last changed inside, and where.

    Raises `OSError` if not all of it can be looked at.
    """
    status = os.stat(path, dir_fd=root, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        return status.st_mtime_ns / 1e9, ""
    descriptor = os.open(path, DIRECTORY_FLAGS, dir_fd=root)
    try:
        measured = measure(descriptor)
    finally:
        os.close(descriptor)
    for where, what in measured.problems:
        raise StorageError(0, f"{what} in {where}" if where else what)
    return measured.changed_ns / 1e9, measured.changed_in
