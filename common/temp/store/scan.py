"""What there is: every entry of a root, measured in one walk over directory descriptors.

The walk never follows a symlink, never crosses into another filesystem, and goes to any depth in
bounded descriptors. It writes nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from ..core.entry import Entry, Inventory, Leftover, Problem, Use
from ..core.layout import (
    CATEGORY_MARK,
    HELD,
    KNOWN_CATEGORIES,
    ROOT_FILES,
    STORE,
    UNCATEGORIZED,
    is_inside,
    read_name,
)
from ..errors import InvalidSettings, StorageError
from .lease import Leases, is_locked, processes_inside
from .mounts import mounts_below
from .pinning import Pins
from .project import check_root, find_project, root_of, user_root

DIRECTORY_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_FILE_FLAGS: Final = DIRECTORY_FLAGS & ~getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NONBLOCK", 0)
_OPEN_FRAMES: Final = 48
"""How many directories of one walk may be open at once; deeper ones are opened again by `..`."""

_CLOCK_SKEW: Final = 60.0
"""Seconds by which a network filesystem's clock may run ahead before a time counts as future."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the entries measured so far and the bytes in them."""


# -- listing ----------------------------------------------------------------------------------


class Found(NamedTuple):
    """An entry that was listed but not measured; `path` is relative to the root."""

    path: str
    category: str


def list_entries(root: Path) -> list[Path]:
    """The absolute paths of the entries of `root`, sorted; none if there is no such root."""
    if not check_root(root):
        return []
    found, problems = listing(root, Leases(root))
    for problem in problems:
        raise StorageError(0, f"cannot list {root / problem.path}: {problem.what}")
    return [root / item.path for item in found]


def listing(root: Path, leases: Leases) -> tuple[list[Found], list[Problem]]:
    """What `root` holds, sorted by path: directories of categories, and all else as it lies.

    A directory is a category if its name is a known one, if it bears the mark, if a record says
    so, or if all that it holds is stamped as entries are. Raises `StorageError` if the root
    itself cannot be listed.
    """
    try:
        with os.scandir(root) as items:
            tops = sorted((item for item in items if item.name not in ROOT_FILES), key=_name)
    except OSError as error:
        raise StorageError.of(f"cannot list {root}", error) from error
    recorded: set[str] | None = None
    found: list[Found] = []
    problems: list[Problem] = []
    for top in tops:
        name = top.name
        if name.startswith(HELD):
            continue
        children: list[str] | None = None
        if not top.is_symlink() and top.is_dir(follow_symlinks=False):
            if recorded is None:
                leases.refresh()
                recorded = leases.recorded_categories()
            known = (
                name in KNOWN_CATEGORIES
                or name in recorded
                or os.path.lexists(os.path.join(top.path, CATEGORY_MARK))
            )
            if known or read_name(name)[1] is None:
                try:
                    children = _children_of_category(top.path, known)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    if known:
                        problems.append(Problem(name, error.strerror or str(error)))
                        continue
        if children is None:
            found.append(Found(name, UNCATEGORIZED))
        else:
            found += [Found(f"{name}/{child}", name) for child in children]
    return found, problems


def _name(item: os.DirEntry[str]) -> str:
    return item.name


def _children_of_category(path: str, known: bool) -> list[str] | None:
    """The sorted names in the category at `path`; `None` if it is an entry itself."""
    with os.scandir(path) as items:
        children = {item.name: item.is_dir(follow_symlinks=False) for item in items}
    children.pop(CATEGORY_MARK, None)
    stamped = all(
        is_directory and read_name(name)[1] is not None for name, is_directory in children.items()
    )
    return sorted(children) if known or (children and stamped) else None


def locate(path: Path) -> tuple[Path, str]:
    """The root that holds `path`, and the entry in it (relative to the root).

    Raises `InvalidSettings` if `path` lies in no entry of any root.
    """
    absolute = Path(os.path.abspath(path))
    own = user_root()
    for root in absolute.parents:
        if root.name == root_of(root).name or (root / STORE).is_dir() or root == own:
            relative = absolute.relative_to(root).as_posix()
            if check_root(root):
                for item in listing(root, Leases(root))[0]:
                    if is_inside(relative, item.path):
                        return root, item.path
            break
    raise InvalidSettings(f"{path} is in no entry; `temp-status` lists them")


def find_entry(text: str, start: Path) -> tuple[Path, str]:
    """The root and the entry that a person means by `text`, standing in `start`.

    That is a path, or the path below the root (`debug/demo_1696348800`), or a name that only one
    entry has. Raises `InvalidSettings` if it is none of these.
    """
    with contextlib.suppress(InvalidSettings):
        return locate(start / text)
    root = root_of(find_project(start))
    found = listing(root, Leases(root))[0] if check_root(root) else []
    named = [item.path for item in found if text in (item.path, item.path.rpartition("/")[2])]
    if len(named) == 1:
        return root, named[0]
    if named:
        raise InvalidSettings(f"{text} could be {' or '.join(named)}; give the category too")
    raise InvalidSettings(f"{text} is no entry of {root}; `temp-status` lists them")


# -- measuring --------------------------------------------------------------------------------


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


# -- the scan ---------------------------------------------------------------------------------


def scan(root: Path, now: float, *, progress: Progress | None = None) -> Inventory:
    """All that `root` holds, measured, with who uses what; an empty inventory if it is missing.

    `now` is in seconds since 1970. One unreadable entry is a problem in the inventory, not an
    error. Raises `StorageError` or `Refused` if the root itself cannot be read or trusted.
    """
    if not check_root(root):
        return Inventory(root=str(root), free=free_bytes(root))
    leases = Leases(root)
    found, problems = listing(root, leases)
    mounts = mounts_below(str(root))
    entries: list[Entry] = []
    measured_bytes = 0
    root_descriptor = os.open(root, DIRECTORY_FLAGS & ~getattr(os, "O_NOFOLLOW", 0))
    try:
        for item in found:
            entry = _measure_entry(root, root_descriptor, item, mounts, now, problems)
            if entry is not None:
                entries.append(entry)
                measured_bytes += entry.size
            if progress is not None:
                progress(len(entries), measured_bytes)
    finally:
        os.close(root_descriptor)
    # Last, so that whoever made an entry that was listed has recorded it by now.
    leases.refresh()
    busy = busy_entries(root)
    pins = Pins(root)
    return Inventory(
        root=str(root),
        entries=tuple(
            entry._replace(
                use=(
                    leases.use_of(entry.path, now, entry.changed)
                    or entry.use
                    or busy.get(entry.path)
                ),
                pin=pins.of(entry.path),
                made_by=leases.maker_of(entry.path),
            )
            for entry in entries
        ),
        problems=tuple(problems),
        leftovers=tuple(list_leftovers(root)),
        free=free_bytes(root),
    )


def _measure_entry(
    root: Path,
    top: int,
    item: Found,
    mounts: frozenset[str],
    now: float,
    problems: list[Problem],
) -> Entry | None:
    try:
        status = os.stat(item.path, dir_fd=top, follow_symlinks=False)
        kind = _kind(status.st_mode)
        size = status.st_blocks * 512
        measured = Measured(size, status.st_size, 0, 1, 0, status.st_mtime_ns)
        if status.st_nlink > 1 and kind != "directory":
            measured.shared = size
        use: Use | None = None
        unreadable: str | None = None
        if kind == "directory":
            try:
                measured, use, status = _look_inside(root, top, item, mounts, measured)
            except PermissionError as error:
                measured.problems.append(("", error.strerror or str(error)))
    except FileNotFoundError:
        problems.append(Problem(item.path, "vanished while it was being looked at", blocking=False))
        return None
    except OSError as error:
        problems.append(Problem(item.path, error.strerror or str(error)))
        return None
    for where, what in measured.problems:
        place = f" in {where}" if where else ""
        unreadable = unreadable or f"{what}{place}"
        problems.append(Problem(item.path, f"{what}{place}"))
    label, stamp = read_name(item.path.rpartition("/")[2])
    changed = measured.changed_ns / 1e9
    future = _future_problem(item.path, stamp, changed, measured.changed_in, now)
    if future is not None:
        problems.append(future)
    return Entry(
        path=item.path,
        category=item.category,
        label=label,
        stamp=stamp,
        kind=kind,
        size=measured.size,
        apparent=measured.apparent,
        shared=measured.shared,
        files=measured.files,
        directories=measured.directories,
        changed=changed,
        changed_in=measured.changed_in,
        use=use,
        device=status.st_dev,
        inode=status.st_ino,
        unreadable=unreadable,
        future=future is not None,
        mounted=measured.mounted,
    )


def _look_inside(
    root: Path,
    top: int,
    item: Found,
    mounts: frozenset[str],
    measured: Measured,
) -> tuple[Measured, Use | None, os.stat_result]:
    """The measure of an entry and whether somebody holds a lock on it, by one descriptor."""
    descriptor = os.open(item.path, DIRECTORY_FLAGS, dir_fd=top)
    try:
        use = None
        if is_locked(root, descriptor):
            use = Use("lock", "a process holds a lock (flock) on it")
        status = os.fstat(descriptor)
        if status.st_dev != os.fstat(top).st_dev or item.path in mounts:
            measured.mounted = item.path
        else:
            inside = frozenset(
                point[len(item.path) + 1 :] for point in mounts if is_inside(point, item.path)
            )
            measured = measure(descriptor, inside)
            if measured.mounted is not None:
                measured.mounted = f"{item.path}/{measured.mounted}"
        return measured, use, status
    finally:
        os.close(descriptor)


def _kind(mode: int) -> Literal["directory", "file", "symlink", "other"]:
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISREG(mode):
        return "file"
    return "symlink" if stat.S_ISLNK(mode) else "other"


def _future_problem(
    path: str, stamp: int | None, changed: float, changed_in: str, now: float
) -> Problem | None:
    if changed > now + _CLOCK_SKEW:
        where = f" ({changed_in})" if changed_in else ""
        return Problem(path, f"was changed in the future{where}, so it counts as new", False)
    if stamp is not None and stamp > now + _CLOCK_SKEW:
        return Problem(path, "has a stamp in the future, so it counts as new", False)
    return None


def busy_entries(root: Path) -> dict[str, Use]:
    """The uses of entries by processes that work inside, by every path that may be an entry's."""
    busy: dict[str, Use] = {}
    for place, who in processes_inside(root).items():
        top, _, rest = place.partition("/")
        use = Use("process", f"{who} works in it")
        busy.setdefault(top, use)
        if rest:
            busy.setdefault(f"{top}/{rest.partition('/')[0]}", use)
    return busy


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


def free_bytes(root: Path) -> int | None:
    """Bytes free for this user on the filesystem of `root` or of the nearest existing parent."""
    for directory in (root, *root.parents):
        if directory.exists():
            with contextlib.suppress(OSError):
                if hasattr(os, "statvfs"):
                    told = os.statvfs(directory)
                    return told.f_bavail * told.f_frsize
                import shutil

                return shutil.disk_usage(directory).free
            return None
    return None


def holding_places(root: Path) -> Iterator[tuple[str, str]]:
    """Where claimed entries of `root` may lie: a directory, and what their names begin with."""
    yield os.path.join(root, STORE, "holding"), ""
    yield str(root), HELD


def list_leftovers(root: Path) -> list[Leftover]:
    """What lies claimed in the holding area, and whether a running sweep is at it."""
    found: list[Leftover] = []
    for directory, prefix in holding_places(root):
        try:
            names = sorted(name for name in os.listdir(directory) if name.startswith(prefix))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError.of(f"cannot list {directory}", error) from error
        found += [
            Leftover(name, _is_being_freed(root, os.path.join(directory, name))) for name in names
        ]
    return found


def _is_being_freed(root: Path, path: str) -> bool:
    try:
        descriptor = os.open(path, _FILE_FLAGS)
    except OSError:
        return False
    try:
        return is_locked(root, descriptor)
    finally:
        os.close(descriptor)
