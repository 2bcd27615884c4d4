"""The desktop trash of Linux and BSD, as specified by freedesktop.org.

Entries are only ever renamed into it: files added to an entry during a copy would be lost.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import quote_from_bytes

from ...errors import StorageError
from . import at
from .at import DIRECTORY_FLAGS, ROOT_FLAGS
from .opening import opened
from .renaming import rename_new

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


class Trashed:
    """A file or directory that is in the trash as `name` in the open directory `files`."""

    def __init__(self, files: int, info: int, name: str, place: str) -> None:
        self.place = place
        """Its absolute path there."""
        self._files, self._info, self._name = files, info, name

    def identity(self) -> tuple[int, int]:
        """Its device and inode."""
        status = at.stat(self._name, dir_fd=self._files, follow_symlinks=False)
        return status.st_dev, status.st_ino

    def put_back(self, name: str, parent: int) -> str:
        """Move it back to `name` in the open directory `parent`; return "" or where it is."""
        try:
            rename_new(self._name, name, src_dir_fd=self._files, dst_dir_fd=parent)
        except OSError:
            return self.place
        with contextlib.suppress(OSError):
            at.unlink(f"{self._name}.trashinfo", dir_fd=self._info)
        return ""


@contextlib.contextmanager
def trashed(path: str, name: str, parent: int) -> Iterator[Trashed]:
    """Move `name` in the open directory `parent` to the trash, recording the absolute `path`.

    A name is claimed by creating its file in `info` first, and nothing in `files` is replaced, so
    no two processes take the same name. A kill in between leaves that file alone, which desktops
    ignore. Raises `OSError`, and then nothing was moved.
    """
    with contextlib.ExitStack() as stack:
        trash, said = _opened_trash(stack, path, parent)
        files, info = (_opened(stack, part, trash).descriptor for part in ("files", "info"))
        base, end = os.path.splitext(name)
        for count in itertools.count():
            chosen = f"{base} {count}{end}" if count else name
            with contextlib.suppress(FileExistsError):
                _take(chosen, name, (files, info, parent), said)
                break
        yield Trashed(files, info, chosen, os.path.join(trash.place, "files", chosen))


def _take(chosen: str, name: str, opened: tuple[int, int, int], said: bytes) -> None:
    """Move it into the trash as `chosen`. Raises `FileExistsError` if that name is taken."""
    files, info, parent = opened
    descriptor = at.open(f"{chosen}.trashinfo", _NEW, 0o600, dir_fd=info)
    try:
        try:
            os.write(descriptor, said)
        finally:
            os.close(descriptor)
        rename_new(name, chosen, src_dir_fd=parent, dst_dir_fd=files)
    except BaseException as error:
        with contextlib.suppress(OSError):
            at.unlink(f"{chosen}.trashinfo", dir_fd=info)
        if isinstance(error, OSError) and error.errno == errno.EXDEV:
            raise StorageError(
                errno.EXDEV, "it cannot be renamed into the trash, and a copy may miss changes"
            ) from error
        raise


class _Directory(NamedTuple):
    """An open directory at `place`; unless it is `private`, others may have put symlinks in it."""

    descriptor: int
    place: str
    private: bool


def _opened_trash(stack: contextlib.ExitStack, path: str, parent: int) -> tuple[_Directory, bytes]:
    """The trash for `path`, which is in the open directory `parent`, and its `.trashinfo` content.

    On another filesystem than the home directory's, the trash is at the top of that filesystem.
    """
    home = _home_trash(at.fstat(parent).st_dev)
    if home:
        os.makedirs(home, 0o700, exist_ok=True)
        descriptor = stack.enter_context(opened(home, ROOT_FLAGS))
        return _Directory(descriptor, home, True), _info(path)
    top = above = os.path.realpath(os.path.dirname(path))
    while not os.path.ismount(top):
        top = os.path.dirname(top)
    descriptor = stack.enter_context(opened(top, ROOT_FLAGS))
    directory, uid = _Directory(descriptor, top, False), os.getuid()
    with contextlib.suppress(FileNotFoundError):
        mode = at.stat(".Trash", dir_fd=descriptor, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:
            descriptor = stack.enter_context(opened(".Trash", dir_fd=descriptor))
            directory = _Directory(descriptor, os.path.join(top, ".Trash"), False)
    name = str(uid) if directory.place != top else f".Trash-{uid}"
    trash = _opened(stack, name, directory)
    said = _info(os.path.relpath(os.path.join(above, os.path.basename(path)), top))
    return trash, said


def _home_trash(device: int) -> str:
    """The path of the trash in the home directory, existing or not; "" if not on `device`."""
    share = os.environ.get("XDG_DATA_HOME", "")
    if not os.path.isabs(share):
        share = os.path.expanduser("~/.local/share")
    if not os.path.isabs(share):
        return ""  # the home directory is unknown
    home = above = os.path.join(share, "Trash")
    while not os.path.exists(above):
        above = os.path.dirname(above)
    return home if os.stat(above).st_dev == device else ""


def _opened(stack: contextlib.ExitStack, name: str, above: _Directory) -> _Directory:
    """The directory `name` in `above`, created if missing, and open until `stack` is closed.

    Raises `StorageError` if another user may have put it there.
    """
    place = os.path.join(above.place, name)
    with contextlib.suppress(FileExistsError):
        at.mkdir(name, 0o700, dir_fd=above.descriptor)
    flags = ROOT_FLAGS if above.private else DIRECTORY_FLAGS
    planted = StorageError(0, f"{place} is not a directory of this user; have that removed")
    try:
        descriptor = stack.enter_context(opened(name, flags, dir_fd=above.descriptor))
    except OSError as error:
        if not above.private and error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise planted from None
        raise
    if not above.private and at.fstat(descriptor).st_uid != os.getuid():
        raise planted
    return _Directory(descriptor, place, above.private)


def _info(path: str) -> bytes:
    """The content of its `.trashinfo` file: where it was, and when it was deleted."""
    now = datetime.now().isoformat(timespec="seconds")
    spelled = quote_from_bytes(os.fsencode(path))
    return f"[Trash Info]\nPath={spelled}\nDeletionDate={now}\n".encode()
