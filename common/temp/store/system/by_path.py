"""Stand-ins for the calls of `at` on a platform without directory-relative calls (Windows).

A "descriptor" here is a number that stands for a directory: its path, and its identity when it was
opened. Before each step the path is checked: it must still be the same directory, and not a symlink
or junction. The same holds for each directory in the path of a name with several parts.

The platform cannot check and act in one step, which leaves a race that real descriptors do not
have: if a user who can write to a parent directory swaps the directory for a symlink between the
check and the step, that one step acts on the symlink's target. A deleted tree is in the holding
area by then, under a random name that no other program knows.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import itertools
import os
import stat as modes
import threading
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeAlias

StrPath: TypeAlias = str | os.PathLike[str]

O_DIRECTORY: Final = 1 << 28
O_NOFOLLOW: Final = 1 << 29
O_LOOK: Final = 0
"""Flags for this module's own `open`, for a platform without such flags."""

_FIRST: Final = 1 << 30
"""Higher than any real descriptor, so that the two are never confused."""

_REPARSE_POINT: Final = 0x400
_NAME_SURROGATE: Final = 0x2000_0000
"""The bit of a reparse tag that marks a symlink or a junction, but not a cloud placeholder."""

_BLOCK: Final = 512


class Status:
    """The fields of `os.stat_result` that the store uses, as on POSIX: a junction is a symlink."""

    __slots__ = (
        "st_blocks", "st_ctime_ns", "st_dev", "st_ino", "st_mode", "st_mtime_ns", "st_nlink",
        "st_size", "st_uid",
    )  # fmt: skip

    def __init__(self, told: os.stat_result) -> None:
        self.st_mode = told.st_mode
        self.st_dev = told.st_dev
        self.st_ino = told.st_ino
        self.st_nlink = told.st_nlink
        self.st_uid = told.st_uid
        self.st_size = told.st_size
        self.st_mtime_ns = told.st_mtime_ns
        self.st_ctime_ns = told.st_ctime_ns
        # Windows reports no blocks: assume as many as the content fills.
        self.st_blocks: int = getattr(told, "st_blocks", -(-told.st_size // _BLOCK))
        if is_junction(told):
            self.st_mode = modes.S_IFLNK | modes.S_IMODE(told.st_mode)


def is_junction(told: os.stat_result) -> bool:
    """Whether the status, from Windows, is that of a symlink or a junction."""
    attributes = getattr(told, "st_file_attributes", 0)
    tag = getattr(told, "st_reparse_tag", 0)
    return bool(attributes & _REPARSE_POINT and tag & _NAME_SURROGATE)


def spelled_long(path: str) -> str:
    r"""An absolute Windows path in the form that may exceed 260 characters: `\\?\C:\…`."""
    path = path.replace("/", "\\")
    if path.startswith(("\\\\?\\", "\\\\.\\")):
        return path
    if path.startswith("\\\\"):
        return f"\\\\?\\UNC\\{path[2:]}"
    return f"\\\\?\\{path}"


# -- the table ------------------------------------------------------------------------------------


class _Place(NamedTuple):
    path: str
    opened: Status
    """The status when it was opened."""


_places: dict[int, _Place] = {}
_numbers = itertools.count(_FIRST)
_lock = threading.RLock()  # a signal handler or finalizer may interrupt the thread that holds it


def _registered(place: _Place) -> int:
    with _lock:
        number = next(_numbers)
        _places[number] = place
        return number


def _place(number: int) -> _Place:
    with _lock:
        place = _places.get(number)
    if place is None:
        raise _error(errno.EBADF)
    return place


def close(fd: int) -> None:
    """As `os.close`."""
    with _lock:
        place = _places.pop(fd, None)
    if place is None:
        raise _error(errno.EBADF)


def dup(fd: int) -> int:
    """As `os.dup`."""
    return _registered(_place(fd))


# -- looking --------------------------------------------------------------------------------------


def _error(number: int, path: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path)  # of the class that fits the number


def _look(path: str) -> Status:
    return Status(os.lstat(path))


def _look_at_directory(path: str) -> Status:
    seen = _look(path)
    if modes.S_ISLNK(seen.st_mode):
        raise _error(errno.ELOOP, path)
    if not modes.S_ISDIR(seen.st_mode):
        raise _error(errno.ENOTDIR, path)
    return seen


def _check(place: _Place) -> Status:
    """The status of the directory, if it is still the one that was opened.

    Raises `FileNotFoundError` if it is gone, `OSError` (ESTALE) if something else is there.
    """
    seen = _look(place.path)
    # For a symlink this is the symlink's own inode, but inodes are reused.
    if not modes.S_ISDIR(seen.st_mode) or (
        (seen.st_dev, seen.st_ino) != (place.opened.st_dev, place.opened.st_ino)
    ):
        raise OSError(errno.ESTALE, "something else was put in its place", place.path)
    return seen


def _resolve(path: StrPath, dir_fd: int | None) -> str:
    """The path to use, after checking every directory in it."""
    path = os.fspath(path)
    if dir_fd is None:
        return path
    place = _place(dir_fd)
    _check(place)
    where = place.path
    *above, name = path.split("/")
    for part in above:
        where = os.path.join(where, part)
        _look_at_directory(where)
    if name == ".":
        return where
    return os.path.dirname(where) if name == ".." else os.path.join(where, name)


def open(path: StrPath, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:  # noqa: A001
    """As `os.open`, but for directories only.

    Anything else raises `NotADirectoryError`, `OSError` (ELOOP) for a symlink, or `PermissionError`
    if the flags allow a file: files are opened only to lock them, and there are no locks here.
    """
    where = _resolve(path, dir_fd)
    if dir_fd is None:
        where = _absolute(where)
        if not flags & O_NOFOLLOW and modes.S_ISLNK(_look(where).st_mode):
            where = _absolute(os.path.realpath(where, strict=True))
    try:
        return _registered(_Place(where, _look_at_directory(where)))
    except NotADirectoryError:
        if flags & O_DIRECTORY:
            raise
        raise _error(errno.EACCES, where) from None


def _absolute(path: str) -> str:
    path = os.path.abspath(path)
    return spelled_long(path) if os.name == "nt" else path


def fstat(fd: int) -> Status:
    """As `os.fstat`; for a directory that is gone, its last status with a link count of 0."""
    place = _place(fd)
    try:
        return _check(place)
    except FileNotFoundError:
        gone = copy.copy(place.opened)
        gone.st_nlink = 0
        return gone


def stat(path: StrPath, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> Status:
    """As `os.stat`."""
    where = _resolve(path, dir_fd)
    return Status(os.stat(where)) if follow_symlinks else _look(where)


class Item:
    """The parts of `os.DirEntry` that the store uses; each `stat` asks the system again."""

    __slots__ = ("_item", "_place", "name", "path")

    def __init__(self, item: os.DirEntry[str], place: _Place | None) -> None:
        self._item = item
        self._place = place
        self.name = item.name
        self.path = item.path

    def is_symlink(self) -> bool:
        """As in `os.DirEntry`; true for a junction."""
        return self._item.is_symlink() or self._is_junction()

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """As in `os.DirEntry`; false for a junction, unless followed."""
        is_directory = self._item.is_dir(follow_symlinks=follow_symlinks)
        return is_directory and (follow_symlinks or not self._is_junction())

    def _is_junction(self) -> bool:
        try:
            return is_junction(self._item.stat(follow_symlinks=False))
        except FileNotFoundError:
            return False

    def inode(self) -> int:
        """As in `os.DirEntry`."""
        return self._item.inode()

    def stat(self, *, follow_symlinks: bool = True) -> Status:
        """As in `os.DirEntry`, whose own lacks the inode and link count on Windows."""
        if self._place is not None:
            _check(self._place)
        return stat(self.path, follow_symlinks=follow_symlinks)


class Items(contextlib.AbstractContextManager["Items"], Iterator[Item]):
    """As the iterator of `os.scandir`."""

    def __init__(self, path: str, place: _Place | None) -> None:
        self._place = place
        self._items = os.scandir(path)

    def __next__(self) -> Item:
        return Item(next(self._items), self._place)

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading the directory."""
        self._items.close()


def scandir(path: StrPath | int) -> Items:
    """As `os.scandir`."""
    if not isinstance(path, int):
        return Items(os.fspath(path), None)
    place = _place(path)
    _check(place)
    items = Items(place.path, place)
    try:
        _check(place)  # again: the one being read may be another directory
    except BaseException:
        items.close()
        raise
    return items


def listdir(path: StrPath | int) -> list[str]:
    """As `os.listdir`."""
    with scandir(path) as items:
        return [item.name for item in items]


def open_file(
    path: StrPath, flags: int = os.O_RDONLY, mode: int = 0o666, *, dir_fd: int | None
) -> int:
    """As `at.open_file`: a real descriptor."""
    where = _resolve(path, dir_fd)
    with contextlib.suppress(FileNotFoundError):
        if modes.S_ISLNK(_look(where).st_mode):
            raise _error(errno.ELOOP, where)
    return os.open(where, flags | getattr(os, "O_BINARY", 0), mode)


def readlink(path: StrPath, *, dir_fd: int | None = None) -> str:
    """As `os.readlink`."""
    return os.readlink(_resolve(path, dir_fd))


# -- changing -------------------------------------------------------------------------------------


def mkdir(path: StrPath, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
    """As `os.mkdir`."""
    os.mkdir(_resolve(path, dir_fd), mode)


def rename(
    src: StrPath,
    dst: StrPath,
    *,
    src_dir_fd: int | None = None,
    dst_dir_fd: int | None = None,
) -> None:
    """As `os.rename`."""
    os.rename(_resolve(src, src_dir_fd), _resolve(dst, dst_dir_fd))


def link(
    src: StrPath,
    dst: StrPath,
    *,
    src_dir_fd: int | None = None,
    dst_dir_fd: int | None = None,
    follow_symlinks: bool = True,
) -> None:
    """As `os.link`; not every system can hard-link a symlink itself."""
    source, target = _resolve(src, src_dir_fd), _resolve(dst, dst_dir_fd)
    if follow_symlinks or not modes.S_ISLNK(_look(source).st_mode):
        os.link(source, target)
    elif os.link in os.supports_follow_symlinks:
        os.link(source, target, follow_symlinks=False)
    else:
        raise _error(errno.ENOTSUP, source)


def unlink(path: StrPath, *, dir_fd: int | None = None) -> None:
    """As `os.unlink`, but also deletes a read-only file."""
    where = _resolve(path, dir_fd)
    try:
        _despite_mark(os.unlink, where)
    except PermissionError:
        if modes.S_ISDIR(_look(where).st_mode):
            raise _error(errno.EISDIR, where) from None
        raise


def rmdir(path: StrPath, *, dir_fd: int | None = None) -> None:
    """As `os.rmdir`, but refuses a junction, which Windows treats as a directory."""
    where = _resolve(path, dir_fd)
    if not modes.S_ISDIR(_look(where).st_mode):
        raise _error(errno.ENOTDIR, where)
    _despite_mark(os.rmdir, where)


def _despite_mark(delete: Callable[[str], None], path: str) -> None:
    """Delete a file or directory even if it is read-only; restore that attribute on failure.

    The attribute belongs to the file, so its other names lose it too.
    """
    try:
        delete(path)
        return
    except PermissionError:
        seen = _look(path)
        if modes.S_ISLNK(seen.st_mode) or seen.st_mode & modes.S_IWRITE:
            raise
    mode = modes.S_IMODE(seen.st_mode)
    _chmod(path, mode | modes.S_IWRITE)
    try:
        delete(path)
    except OSError:
        with contextlib.suppress(OSError):
            _chmod(path, mode)
        raise


def _chmod(path: str, mode: int) -> None:
    if os.chmod in os.supports_follow_symlinks:
        os.chmod(path, mode, follow_symlinks=False)
    else:
        os.chmod(path, mode)  # it was not a symlink a moment ago
