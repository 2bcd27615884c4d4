"""Reading an entry item by item, to digest it, write it elsewhere or compare it.

Items come in a fixed order: each directory before its contents, names sorted by their bytes. So
one running digest covers everything in bounded memory, whatever the items are read from.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import blake2b
from typing import Final, Literal, NamedTuple, TypeAlias

from ...errors import StorageError
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.mounts import is_overlay
from ..system.opening import open_unmounted
from .open_directories import Descent, Level

Kind: TypeAlias = Literal["directory", "file", "symlink", "fifo", "link", "other"]

CHUNK: Final = 1 << 17
"""How many bytes of a file are read at a time."""

KEPT_ATTRIBUTES: Final = ("user.", "system.posix_acl_")
"""The prefixes of the extended attributes that are the user's own."""


class Item(NamedTuple):
    """A file, directory or the like in an entry, or the entry itself, whose `path` is "".

    A "link" is a further hard link to the file at `target`, the path of an earlier item. `read`
    returns the next bytes of a file, `size` of them in all, and only until the next item is
    requested. A socket is an "other".
    """

    path: str
    kind: Kind
    mode: int = 0
    mtime_ns: int = 0
    size: int = 0
    target: str = ""
    attributes: tuple[tuple[str, bytes], ...] = ()
    owner: tuple[int, int] = (-1, -1)
    ctime_ns: int = 0
    read: Callable[[int], bytes] | None = None
    is_socket: bool = False


class Digest(NamedTuple):
    """The number of files, directories and bytes read, and one BLAKE2 digest of everything.

    The digest leaves out the mode and the time of the entry itself, which change when it is moved,
    those of symlinks, and owners, which only root can set.
    """

    files: int
    directories: int
    size: int
    hexdigest: str


def digest(items: Iterable[Item]) -> Digest:
    """Read all `items`; return their digest. Raises `OSError` if one is shorter than its size."""
    digester = Digester()
    for item in digester.passing(items):
        if item.read is not None:
            for _ in chunks(item):
                pass
    return digester.digest()


class Digester:
    """Digests items as they pass to a consumer that reads each to its end."""

    def __init__(self) -> None:
        self._whole = blake2b(digest_size=32)
        self._files = self._directories = self._size = 0

    def digest(self) -> Digest:
        """The digest of all items that have passed."""
        return Digest(self._files, self._directories, self._size, self._whole.hexdigest())

    def passing(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; each is counted once the next one is requested."""
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
        # A symlink has no mode, and not every system can set its time.
        is_dressed = item.path and item.kind != "symlink"
        name, target = os.fsencode(item.path.rpartition("/")[2]), os.fsencode(item.target)
        # The order and the depth together tell which directory a name is in.
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
    """The content of a file in chunks. Raises `StorageError` if it is shorter than `size`."""
    assert item.read is not None
    left = item.size
    while left:
        chunk = item.read(min(left, CHUNK))
        if not chunk:
            raise StorageError(0, f"{item.path or 'it'} is shorter than it was")
        left -= len(chunk)
        yield chunk


# -- reading a tree -------------------------------------------------------------------------------


class _Level(Level):
    __slots__ = ("names", "path")

    def __init__(self, path: str, descriptor: int, depth: int) -> None:
        super().__init__(at.dup(descriptor), at.fstat(descriptor), depth)
        self.path = path
        self.names = sorted(at.listdir(descriptor), key=os.fsencode, reverse=True)


def tree(
    parent: int,
    name: str,
    *,
    contents: bool = True,
    afresh: bool = False,
    only: Callable[[str], bool] | None = None,
) -> Iterator[Item]:
    """The items of `name` in the directory open at `parent`, filtered by path with `only`.

    Goes to any depth, by descriptors. Without `contents` no file is opened, and facts that need an
    open file are left out. `afresh` bypasses the page cache. Raises `OSError` if something cannot
    be read, is on another filesystem, or moves meanwhile.
    """
    top = at.stat(name, dir_fd=parent, follow_symlinks=False)
    seen: dict[int, str] = {}
    descent: Descent[_Level] = Descent()
    look = partial(_item, seen=seen, device=top.st_dev, contents=contents, afresh=afresh)
    try:
        with look(parent, name, "") as (item, descriptor):
            yield item
            if item.kind == "directory":
                descent.push(_Level("", descriptor, 0))
        while descent.levels:
            level = descent.levels[-1]
            if not level.names:
                _leave(descent)
                continue
            assert level.descriptor is not None
            name = level.names.pop()
            path = f"{level.path}/{name}" if level.path else name
            if only is not None and not only(path):
                continue
            with look(level.descriptor, name, path) as (item, descriptor):
                yield item
                if item.kind == "directory":
                    descent.push(_Level(path, descriptor, level.depth + 1))
    finally:
        descent.close()


def state(parent: int, name: str) -> str:
    """A digest that changes with any change inside `name`, even if times are set back.

    It stays the same when `name` is moved, and does not read file contents. Raises `OSError` as
    `tree` does.
    """
    whole = blake2b(digest_size=32)
    for item in tree(parent, name, contents=False):
        path = os.fsencode(item.path)
        ctime = item.ctime_ns if path else 0
        whole.update(b"%d:%s %d %d %d " % (len(path), path, item.size, item.mtime_ns, ctime))
    return whole.hexdigest()


def newest_status_in(parent: int, name: str) -> float:
    """The newest status change time (ctime) of anything inside the directory `name`, itself
    excluded; 0.0 if it is empty.

    Every write changes that time, even one that sets the modification time back. Raises `OSError`
    as `tree` does.
    """
    items = tree(parent, name, contents=False)
    return max((item.ctime_ns for item in items if item.path), default=0) / 1e9


def _leave(descent: Descent[_Level]) -> None:
    done = descent.pop()
    try:
        descent.reopen(done)
    except StorageError as error:
        raise StorageError(error.errno or 0, f"{done.path} was {error}") from None
    finally:
        done.close()


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
    """The item `name`, and if it is a directory, its descriptor until the block ends, else -1."""
    status = at.stat(name, dir_fd=parent, follow_symlinks=False)
    if status.st_dev != device:
        if not stat.S_ISDIR(status.st_mode) and is_overlay(parent):
            raise StorageError(errno.EXDEV, f"{path} is in another layer of an overlay")
        raise _mounted(path)
    mode = status.st_mode
    owner = (getattr(status, "st_uid", -1), getattr(status, "st_gid", -1))
    item = Item(path, "other", stat.S_IMODE(mode), status.st_mtime_ns, owner=owner)
    item = item._replace(ctime_ns=status.st_ctime_ns)
    if stat.S_ISDIR(mode):
        descriptor = _opened_directory(parent, name, path)
        try:
            attributes = _attributes(descriptor, contents)
            yield item._replace(kind="directory", attributes=attributes), descriptor
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
        kind: Kind = "fifo" if stat.S_ISFIFO(mode) else "other"
        yield item._replace(kind=kind, is_socket=stat.S_ISSOCK(mode)), -1
    elif not contents:
        yield item._replace(kind="file", size=status.st_size), -1
    else:
        with _opened_file(parent, name, item, status.st_ino, afresh=afresh) as opened:
            yield opened, -1


def _opened_directory(parent: int, name: str, path: str) -> int:
    """A descriptor of the directory; only the top of the tree may be a mount point."""
    if not path:
        return at.open(name, DIRECTORY_FLAGS, dir_fd=parent)
    try:
        return open_unmounted(name, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise _mounted(path) from None
        raise


def _mounted(path: str) -> StorageError:
    return StorageError(errno.EXDEV, f"another filesystem is mounted at {path}")


@contextlib.contextmanager
def _opened_file(parent: int, name: str, item: Item, inode: int, *, afresh: bool) -> Iterator[Item]:
    """`item` as a readable file, if it still has that `inode`."""
    file = at.open_file(name, dir_fd=parent)
    try:
        opened = os.fstat(file)
        if not stat.S_ISREG(opened.st_mode) or opened.st_ino != inode:
            raise StorageError(errno.ESTALE, f"{item.path or name} was replaced meanwhile")
        if afresh and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        yield item._replace(
            kind="file",
            size=opened.st_size,
            attributes=_attributes(file, True),
            read=partial(os.read, file),
        )
    finally:
        os.close(file)


def _attributes(descriptor: int, wanted: bool) -> tuple[tuple[str, bytes], ...]:
    """The user's own extended attributes; Python supports them only on Linux."""
    if not wanted or not hasattr(os, "listxattr") or not at.RELATIVE:
        return ()
    try:
        names = [name for name in os.listxattr(descriptor) if name.startswith(KEPT_ATTRIBUTES)]
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENOSYS):
            return ()
        raise
    return tuple((name, os.getxattr(descriptor, name)) for name in sorted(names))
