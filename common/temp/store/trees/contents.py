"""What an entry holds, item by item: to be digested, to be written elsewhere, to be compared.

Items come in one fixed order, each directory before what is in it and names sorted by their bytes,
so that one running digest says all that there is to say, in bounded memory, and whatever the items
are read from.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import blake2b
from typing import Final, Literal, NamedTuple, TypeAlias

from ...errors import Refused, StorageError
from ..system import at
from ..system.at import DIRECTORY_FLAGS

Kind: TypeAlias = Literal["directory", "file", "symlink", "fifo", "link", "other"]

_CHUNK: Final = 1 << 17
_HOLE: Final = bytes(_CHUNK)
_NO_NAMES: Final = ("", ".", "..")
_OPEN_FRAMES: Final = 48
"""How many directories of one walk may be open at once; deeper ones are opened again by `..`."""

KEPT_ATTRIBUTES: Final = ("user.", "system.posix_acl_")
"""What the names of those extended attributes begin with that are the user's own."""

_FILE_FLAGS: Final = (
    os.O_CREAT
    | os.O_EXCL
    | os.O_WRONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


class Item(NamedTuple):
    """One thing in an entry, or the entry itself, whose `path` is "".

    A "link" is a further name of the file at `target`, the path of one that came before. `read`
    gives the next bytes of a file, `size` of them in all, and only until the next item is asked
    for.
    """

    path: str
    kind: Kind
    mode: int = 0
    mtime_ns: int = 0
    size: int = 0
    target: str = ""
    attributes: tuple[tuple[str, bytes], ...] = ()
    owner: tuple[int, int] = (-1, -1)
    read: Callable[[int], bytes] | None = None


class Digest(NamedTuple):
    """How much there is, in bytes as they are read, and one BLAKE2 digest over all of it.

    The mode and the time of the entry itself are no part of it, since they change when it is moved,
    nor are those of links, nor owners, which only root can give.
    """

    files: int
    directories: int
    size: int
    hexdigest: str


def digest(items: Iterable[Item]) -> Digest:
    """The digest of `items`, all of which are read. Raises `OSError` where one is cut short."""
    digester = Digester()
    for item in digester.passing(items):
        if item.read is not None:
            for _ in chunks(item):
                pass
    return digester.digest()


class Digester:
    """Digests items while they are on their way to somebody who reads each to its end."""

    def __init__(self) -> None:
        self._whole = blake2b(digest_size=32)
        self._files = self._directories = self._size = 0

    def digest(self) -> Digest:
        """The digest of all that has passed."""
        return Digest(self._files, self._directories, self._size, self._whole.hexdigest())

    def passing(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items, each taken in as soon as the next one is asked for."""
        for item in items:
            content = b""
            if item.read is None:
                yield item
            else:
                inner = blake2b(digest_size=32)
                yield item._replace(read=partial(_read_into, inner, item.read))
                content = inner.digest()
            self._take_in(item, content)

    def _take_in(self, item: Item, content: bytes) -> None:
        self._files += item.kind != "directory"
        self._directories += item.kind == "directory"
        self._size += item.size
        # A link has no mode, and not every system can set its time.
        is_dressed = item.path and item.kind != "symlink"
        name, target = os.fsencode(item.path.rpartition("/")[2]), os.fsencode(item.target)
        # With the depth, the order says in which directory a name is.
        self._whole.update(
            b"%s %d %o %d %d %d:%s %d:%s %d %s"
            % (
                item.kind.encode(),
                item.path.count("/") + 1 if item.path else 0,
                item.mode if is_dressed else 0,
                item.mtime_ns if is_dressed else 0,
                item.size,
                len(name),
                name,
                len(target),
                target,
                len(item.attributes),
                content,
            )
        )
        for key, value in item.attributes:
            name = os.fsencode(key)
            self._whole.update(b"%d:%s %d:%s" % (len(name), name, len(value), value))


def _read_into(inner: blake2b, read: Callable[[int], bytes], size: int) -> bytes:
    chunk = read(size)
    inner.update(chunk)
    return chunk


def chunks(item: Item) -> Iterator[bytes]:
    """The content of a file, piece by piece."""
    assert item.read is not None
    left = item.size
    while left:
        chunk = item.read(min(left, _CHUNK))
        if not chunk:
            raise StorageError(0, f"{item.path or 'it'} is shorter than it was")
        left -= len(chunk)
        yield chunk


# -- reading a tree -------------------------------------------------------------------------------


class _Frame:
    __slots__ = ("descriptor", "identity", "names", "path")

    def __init__(self, path: str, descriptor: int) -> None:
        status = at.fstat(descriptor)
        self.path = path
        self.identity = (status.st_dev, status.st_ino)
        self.names = sorted(at.listdir(descriptor), key=os.fsencode, reverse=True)
        self.descriptor: int | None = at.dup(descriptor)


def tree(parent: int, name: str, *, contents: bool = True, afresh: bool = False) -> Iterator[Item]:
    """The items of what lies as `name` in the directory open at `parent`.

    Goes to any depth, by descriptors. Without `contents` no file is opened, and nothing that only
    an open one tells is said. `afresh` reads from the disk what the memory may know otherwise.
    Raises `OSError` if something cannot be read, lies on another filesystem, or moves meanwhile.
    """
    top = at.stat(name, dir_fd=parent, follow_symlinks=False)
    seen: dict[int, str] = {}
    stack: list[_Frame] = []
    look = partial(_item, seen=seen, device=top.st_dev, contents=contents, afresh=afresh)
    lowest_open = 0
    try:
        with look(parent, name, "") as (item, descriptor):
            yield item
            if item.kind == "directory":
                stack.append(_Frame("", descriptor))
        while stack:
            frame = stack[-1]
            if not frame.names:
                stack.pop()
                lowest_open = min(lowest_open, max(len(stack) - 1, 0))
                _close(frame, stack)
                continue
            assert frame.descriptor is not None
            name = frame.names.pop()
            path = f"{frame.path}/{name}" if frame.path else name
            with look(frame.descriptor, name, path) as (item, descriptor):
                yield item
                if item.kind != "directory":
                    continue
                stack.append(_Frame(path, descriptor))
            if len(stack) - lowest_open > _OPEN_FRAMES:
                old = stack[lowest_open]
                assert old.descriptor is not None
                at.close(old.descriptor)
                old.descriptor = None
                lowest_open += 1
    finally:
        for frame in stack:
            if frame.descriptor is not None:
                at.close(frame.descriptor)


def _close(done: _Frame, stack: list[_Frame]) -> None:
    """Close a finished directory, having opened the one above from it if that was closed."""
    assert done.descriptor is not None
    try:
        if stack and stack[-1].descriptor is None:
            descriptor = at.open("..", DIRECTORY_FLAGS, dir_fd=done.descriptor)
            status = at.fstat(descriptor)
            if (status.st_dev, status.st_ino) != stack[-1].identity:
                at.close(descriptor)
                raise StorageError(errno.ESTALE, f"{done.path} was moved while it was being read")
            stack[-1].descriptor = descriptor
    finally:
        at.close(done.descriptor)


@contextlib.contextmanager
def _item(
    parent: int,
    name: str,
    path: str,
    *,
    seen: dict[int, str],
    device: int,
    contents: bool,
    afresh: bool,
) -> Iterator[tuple[Item, int]]:
    """The item `name`, and the descriptor of a directory or file that is open meanwhile."""
    status = at.stat(name, dir_fd=parent, follow_symlinks=False)
    if status.st_dev != device:
        raise StorageError(errno.EXDEV, f"another filesystem is mounted at {path}")
    mode = status.st_mode
    item = Item(
        path,
        "other",
        stat.S_IMODE(mode),
        status.st_mtime_ns,
        owner=(getattr(status, "st_uid", -1), getattr(status, "st_gid", -1)),
    )
    if stat.S_ISDIR(mode):
        descriptor = at.open(name, DIRECTORY_FLAGS, dir_fd=parent)
        try:
            yield (
                item._replace(kind="directory", attributes=_attributes(descriptor, contents)),
                (descriptor),
            )
        finally:
            at.close(descriptor)
        return
    if status.st_nlink > 1:
        first = seen.setdefault(status.st_ino, path)
        if first != path:
            yield Item(path, "link", target=first), -1
            return
    if stat.S_ISLNK(mode):
        yield item._replace(kind="symlink", target=at.readlink(name, dir_fd=parent)), -1
    elif not stat.S_ISREG(mode):
        yield item._replace(kind="fifo" if stat.S_ISFIFO(mode) else "other"), -1
    elif not contents:
        yield item._replace(kind="file", size=status.st_size), -1
    else:
        file = at.open_file(name, dir_fd=parent)
        try:
            opened = os.fstat(file)
            if not stat.S_ISREG(opened.st_mode) or opened.st_ino != status.st_ino:
                raise StorageError(errno.ESTALE, f"{path or name} was replaced meanwhile")
            if afresh and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            yield (
                item._replace(
                    kind="file",
                    size=opened.st_size,
                    attributes=_attributes(file, True),
                    read=partial(os.read, file),
                ),
                file,
            )
        finally:
            os.close(file)


def _attributes(descriptor: int, wanted: bool) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes that are the user's; only Linux has them in Python."""
    if not wanted or not hasattr(os, "listxattr") or not at.RELATIVE:
        return ()
    try:
        names = [name for name in os.listxattr(descriptor) if name.startswith(KEPT_ATTRIBUTES)]
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENOSYS):
            return ()
        raise
    return tuple((name, os.getxattr(descriptor, name)) for name in sorted(names))


# -- writing a tree -------------------------------------------------------------------------------


def write(items: Iterable[Item], place: str) -> Item:
    """Write `items` as a new tree at the absolute path `place`, flushed to the disk; the first one.

    The mode and the time of the tree itself are left to the caller, who may have to move it first.
    Items that would come to lie elsewhere are refused, whoever made them up: each goes into a
    directory that was made here, just before, and by that name nothing may be there yet. Raises
    `Refused` for them, and `OSError`, and then leaves behind what was written.
    """
    entered: list[Item] = []
    first: Item | None = None
    for item in items:
        above, _, name = item.path.rpartition("/")
        if first is None:
            if item.path:
                raise Refused(f"{item.path} comes before the directory that it is in")
            first = item
        elif name in _NO_NAMES or "\0" in name or item.path.startswith("/"):
            raise Refused(f"{item.path!r} is no place in it")
        else:
            while entered and entered[-1].path != above:
                _finish(entered.pop(), place)
            if not entered:
                raise Refused(f"{item.path} is not where it belongs")
        where = f"{place}/{item.path}" if item.path else place
        if item.kind == "directory":
            os.mkdir(where, 0o700)
            entered.append(item)
        else:
            _write_one(item, where, place)
    while entered:
        _finish(entered.pop(), place)
    if first is None:
        raise Refused("there is nothing in it")
    _flush(os.path.dirname(place))
    return first


def _write_one(item: Item, where: str, place: str) -> None:
    if item.kind == "file":
        file = os.open(where, _FILE_FLAGS, 0o600)
        try:
            _fill(file, item)
            if _syncfs is None:
                os.fsync(file)
        finally:
            os.close(file)
    elif item.kind == "symlink":
        os.symlink(item.target, where)
    elif item.kind == "fifo" and hasattr(os, "mkfifo"):
        os.mkfifo(where, 0o600)
    elif item.kind == "link":
        at.link(_first_name(item, place), where, follow_symlinks=False)
        return
    else:
        raise Refused(f"{item.path or 'it'} can be in no archive")
    _dress(item, where)


def _fill(file: int, item: Item) -> None:
    position = 0
    for chunk in chunks(item):
        if len(chunk) == _CHUNK and chunk == _HOLE:
            os.lseek(file, _CHUNK, os.SEEK_CUR)  # so that a sparse file stays one
        else:
            view = memoryview(chunk)
            while view:
                view = view[os.write(file, view) :]
        position += len(chunk)
    os.ftruncate(file, position)


def _first_name(item: Item, place: str) -> str:
    """The file that `item` is a further name of, if it is one that was written here."""
    *above, name = item.target.split("/")
    where = place
    for part in above:
        where = f"{where}/{part}"
        if part in _NO_NAMES or not stat.S_ISDIR(os.lstat(where).st_mode):
            raise Refused(f"{item.path} is a link out of it")
    if name in _NO_NAMES:
        raise Refused(f"{item.path} is a link out of it")
    return f"{where}/{name}"


def _finish(directory: Item, place: str) -> None:
    _dress(directory, f"{place}/{directory.path}" if directory.path else place)


def _dress(item: Item, where: str) -> None:
    """Give what was written at `where` its owner, attributes, mode and time."""
    if hasattr(os, "lchown") and os.geteuid() == 0:
        with contextlib.suppress(OSError):  # a filesystem that has none
            os.lchown(where, *item.owner)
    for key, value in item.attributes:
        os.setxattr(where, key, value, follow_symlinks=False)
    if item.path:
        dress(where, item.mode, item.mtime_ns, link=item.kind == "symlink")


@contextlib.contextmanager
def held(where: str) -> Iterator[str]:
    """A path to the file or directory at `where`, and to no other, whatever is put in its place.

    Without `/proc`, `where`. Raises `OSError`, also for a link.
    """
    if not hasattr(os, "O_PATH") or not at.RELATIVE or not os.path.isdir("/proc/self/fd"):
        yield where
        return
    descriptor = os.open(where, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_ISLNK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), where)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def dress(where: str, mode: int, mtime_ns: int, *, link: bool = False) -> None:
    """Give what lies at `where` its mode and its time; a `link` has no mode."""
    if not link:
        with held(where) as it:
            dress_held(it, mode, mtime_ns)
    elif os.utime in os.supports_follow_symlinks:
        os.utime(where, ns=(mtime_ns, mtime_ns), follow_symlinks=False)


def dress_held(it: str, mode: int, mtime_ns: int) -> None:
    """As `dress`, for what is `held`."""
    os.chmod(it, mode)
    os.utime(it, ns=(mtime_ns, mtime_ns))


def _find_syncfs() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError, TypeError):  # not Linux
        return None
    return found


_syncfs: Final = _find_syncfs()
"""Makes all of one filesystem durable. For many small files a flush of each takes far longer."""


def _flush(directory: str) -> None:
    """Make what was written below `directory` durable."""
    if not at.RELATIVE:
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        if _syncfs is None:
            os.fsync(descriptor)
        elif _syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), directory)
    finally:
        os.close(descriptor)
