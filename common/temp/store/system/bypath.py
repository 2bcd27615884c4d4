"""Stand-ins for the calls of `at` where the platform has none relative to a directory (Windows).

A "descriptor" is a number of ours that stands for a directory: its path, and which one it was
when it was opened. Before each step the path is looked at, and what lies there must still be that
very directory, and no link or junction; each directory on the way to a name of several parts must
be a real one, too.

The platform has nothing that looks and acts in one step, so a race is accepted that descriptors
do not have: whoever may write above the directory, and swaps it for a link in the instant between
the look and the step, has that one step done where the link leads. What is deleted lies in the
holding area by then, under a random name that no other program knows.
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
"""Only ever given to the `open` of this module, on platforms whose own has nothing like them."""

_FIRST: Final = 1 << 30
"""Above any descriptor that the system gives out, so that none is taken for one of ours."""

_REPARSE_POINT: Final = 0x400
_NAME_SURROGATE: Final = 0x2000_0000
"""The bit of a reparse tag that says that the name stands for another: a link or a junction, and
not a file that is kept in a cloud."""

_BLOCK: Final = 512


class Status:
    """What the store asks of an `os.stat_result`, as POSIX has it: a junction is a link."""

    __slots__ = (
        "st_blocks", "st_dev", "st_ino", "st_mode", "st_mtime_ns", "st_nlink", "st_size", "st_uid",
    )  # fmt: skip

    def __init__(self, told: os.stat_result) -> None:
        self.st_mode = told.st_mode
        self.st_dev = told.st_dev
        self.st_ino = told.st_ino
        self.st_nlink = told.st_nlink
        self.st_uid = told.st_uid
        self.st_size = told.st_size
        self.st_mtime_ns = told.st_mtime_ns
        # Without a word on the disk's blocks, as many as the content fills.
        self.st_blocks: int = getattr(told, "st_blocks", -(-told.st_size // _BLOCK))
        if is_junction(told):
            self.st_mode = modes.S_IFLNK | modes.S_IMODE(told.st_mode)


def is_junction(told: os.stat_result) -> bool:
    """Whether Windows says of what was looked at that its name leads elsewhere."""
    attributes = getattr(told, "st_file_attributes", 0)
    tag = getattr(told, "st_reparse_tag", 0)
    return bool(attributes & _REPARSE_POINT and tag & _NAME_SURROGATE)


def spelled_long(path: str) -> str:
    r"""An absolute Windows path in the spelling that may be longer than 260: `\\?\C:\…`."""
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
    """As it was when it was opened."""


_places: dict[int, _Place] = {}
_numbers = itertools.count(_FIRST)
_lock = threading.RLock()  # for a signal's handler or a finalizer may interrupt who holds it


def _new(place: _Place) -> int:
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
    return _new(_place(fd))


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
    # Of a link this is the link's own inode, but inodes are used again.
    if not modes.S_ISDIR(seen.st_mode) or (
        (seen.st_dev, seen.st_ino) != (place.opened.st_dev, place.opened.st_ino)
    ):
        raise OSError(errno.ESTALE, "something else was put in its place", place.path)
    return seen


def _resolve(path: StrPath, dir_fd: int | None) -> str:
    """The path to go by, all that it goes through having been looked at just now."""
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
    """As `os.open`, but for directories alone, and only to go by.

    Anything else raises `NotADirectoryError`, `OSError` (ELOOP) for a link, or `PermissionError`
    where the flags would take anything: there are no locks, and nothing else is opened for.
    """
    where = _resolve(path, dir_fd)
    if dir_fd is None:
        where = _absolute(where)
        if not flags & O_NOFOLLOW and modes.S_ISLNK(_look(where).st_mode):
            where = _absolute(os.path.realpath(where, strict=True))
    try:
        return _new(_Place(where, _look_at_directory(where)))
    except NotADirectoryError:
        if flags & O_DIRECTORY:
            raise
        raise _error(errno.EACCES, where) from None


def _absolute(path: str) -> str:
    path = os.path.abspath(path)
    return spelled_long(path) if os.name == "nt" else path


def fstat(fd: int) -> Status:
    """As `os.fstat`: of a directory that is gone, what it was, with no name left."""
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
    """What the store asks of an `os.DirEntry`; it is looked at anew by each `stat`."""

    __slots__ = ("_item", "_place", "name", "path")

    def __init__(self, item: os.DirEntry[str], place: _Place | None) -> None:
        self._item = item
        self._place = place
        self.name = item.name
        self.path = item.path

    def is_symlink(self) -> bool:
        """As of an `os.DirEntry`; true for a junction."""
        return self._item.is_symlink() or self._is_junction()

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """As of an `os.DirEntry`; not true for a junction, unless followed."""
        is_directory = self._item.is_dir(follow_symlinks=follow_symlinks)
        return is_directory and (follow_symlinks or not self._is_junction())

    def _is_junction(self) -> bool:
        try:
            return is_junction(self._item.stat(follow_symlinks=False))
        except FileNotFoundError:
            return False

    def inode(self) -> int:
        """As of an `os.DirEntry`."""
        return self._item.inode()

    def stat(self, *, follow_symlinks: bool = True) -> Status:
        """As of an `os.DirEntry`, whose own lacks the identity and the links on Windows."""
        if self._place is not None:
            _check(self._place)
        return stat(self.path, follow_symlinks=follow_symlinks)


class Items(contextlib.AbstractContextManager["Items"], Iterator[Item]):
    """As what `os.scandir` gives."""

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
        _check(place)  # again, since what is being read now may be another
    except BaseException:
        items.close()
        raise
    return items


def listdir(path: StrPath | int) -> list[str]:
    """As `os.listdir`."""
    with scandir(path) as items:
        return [item.name for item in items]


def open_file(path: StrPath, *, dir_fd: int) -> int:
    """As that of `at`: a descriptor of the system's own."""
    where = _resolve(path, dir_fd)
    if modes.S_ISLNK(_look(where).st_mode):
        raise _error(errno.ELOOP, where)
    return os.open(where, os.O_RDONLY | getattr(os, "O_BINARY", 0))


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
    """As `os.link`; a symlink that is not to be followed cannot get a second name everywhere."""
    source, target = _resolve(src, src_dir_fd), _resolve(dst, dst_dir_fd)
    if follow_symlinks or not modes.S_ISLNK(_look(source).st_mode):
        os.link(source, target)
    elif os.link in os.supports_follow_symlinks:
        os.link(source, target, follow_symlinks=False)
    else:
        raise _error(errno.ENOTSUP, source)


def unlink(path: StrPath, *, dir_fd: int | None = None) -> None:
    """As `os.unlink`, whatever the platform thinks of a file that is marked read-only."""
    where = _resolve(path, dir_fd)
    try:
        _despite_mark(os.unlink, where)
    except PermissionError:
        if modes.S_ISDIR(_look(where).st_mode):
            raise _error(errno.EISDIR, where) from None
        raise


def rmdir(path: StrPath, *, dir_fd: int | None = None) -> None:
    """As `os.rmdir`; never a junction, which Windows has for a directory."""
    where = _resolve(path, dir_fd)
    if not modes.S_ISDIR(_look(where).st_mode):
        raise _error(errno.ENOTDIR, where)
    _despite_mark(os.rmdir, where)


def _despite_mark(delete: Callable[[str], None], path: str) -> None:
    """Delete what Windows marks read-only; the mark is put back if that was not what kept it.

    The other names of a file lose the mark with this one, as it is the file's.
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
        os.chmod(path, mode)  # of what was no link a moment ago
