"""The trash of the desktops of Linux and BSD, as freedesktop.org specifies it.

Something is only ever renamed into it. What came into it during a copy would be lost.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Iterator
from datetime import datetime
from typing import Final
from urllib.parse import quote_from_bytes

from ...errors import StorageError
from . import at
from .at import DIRECTORY_FLAGS, ROOT_FLAGS
from .renaming import rename_new

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


class Trashed:
    """Something that is in the trash as `name` in the open directory `files`."""

    def __init__(self, files: int, info: int, name: str, place: str) -> None:
        self.place = place
        """Its absolute path there."""
        self._files, self._info, self._name = files, info, name

    def identity(self) -> tuple[int, int]:
        """Which device and inode it has."""
        status = at.stat(self._name, dir_fd=self._files, follow_symlinks=False)
        return status.st_dev, status.st_ino

    def put_back(self, name: str, parent: int) -> str:
        """Move it back to `name` in the open directory `parent`; "" or where it is instead."""
        try:
            rename_new(self._name, name, src_dir_fd=self._files, dst_dir_fd=parent)
        except OSError:
            return self.place
        with contextlib.suppress(OSError):
            at.unlink(f"{self._name}.trashinfo", dir_fd=self._info)
        return ""


@contextlib.contextmanager
def trashed(path: str, name: str, parent: int) -> Iterator[Trashed]:
    """Move `name` in the open directory `parent` to the trash, as what was at the absolute `path`.

    Whoever takes a name there makes its file in `info` first, and nothing in `files` is replaced,
    so that no two take the same. After a kill in between, that file stays alone, which desktops
    ignore. Raises `OSError`, and then it is where it was.
    """
    with contextlib.ExitStack() as stack:
        trash, top = _trash_for(path, parent)
        opened = []
        for part in ("files", "info"):
            place = os.path.join(trash, part)
            os.makedirs(place, 0o700, exist_ok=True)
            directory = at.open(place, ROOT_FLAGS if top is None else DIRECTORY_FLAGS)
            stack.callback(at.close, directory)
            opened.append(directory)
        files, info = opened
        if top is not None:
            _check_ours(trash, files, info)
        said = _info(path if top is None else os.path.relpath(path, top))
        base, end = os.path.splitext(name)
        for count in itertools.count():
            chosen = f"{base} {count}{end}" if count else name
            with contextlib.suppress(FileExistsError):
                _take(chosen, name, (files, info, parent), said)
                break
        yield Trashed(files, info, chosen, os.path.join(trash, "files", chosen))


def _take(chosen: str, name: str, opened: tuple[int, int, int], said: bytes) -> None:
    """Move it there as `chosen`. Raises `FileExistsError` if that name is taken."""
    files, info, parent = opened
    descriptor = at.open(f"{chosen}.trashinfo", _NEW, 0o600, dir_fd=info)
    try:
        try:
            os.write(descriptor, said)
        finally:
            os.close(descriptor)
        rename_new(name, chosen, src_dir_fd=parent, dst_dir_fd=files)
    except BaseException as error:
        at.unlink(f"{chosen}.trashinfo", dir_fd=info)
        if isinstance(error, OSError) and error.errno == errno.EXDEV:
            raise StorageError(
                errno.EXDEV, "it cannot be renamed into the trash, and a copy may miss changes"
            ) from error
        raise


def _trash_for(path: str, parent: int) -> tuple[str, str | None]:
    """The trash for what is in the open directory `parent`, and the top of its filesystem, if the
    trash is there: the one in the home directory is on another.
    """
    share = os.environ.get("XDG_DATA_HOME", "")
    home = os.path.join(
        share if os.path.isabs(share) else os.path.expanduser("~/.local/share"), "Trash"
    )
    above = home
    while not os.path.exists(above):
        above = os.path.dirname(above)
    if os.stat(above).st_dev == at.fstat(parent).st_dev:
        return home, None
    top = os.path.realpath(os.path.dirname(path))
    while not os.path.ismount(top):
        top = os.path.dirname(top)
    uid = os.getuid()
    common = os.path.join(top, ".Trash")
    with contextlib.suppress(FileNotFoundError):
        mode = os.lstat(common).st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:
            return _made(os.path.join(common, str(uid))), top
    return _made(os.path.join(top, f".Trash-{uid}")), top


def _made(trash: str) -> str:
    """That directory at the top of a filesystem. Raises `StorageError` if it may be planted."""
    os.makedirs(trash, 0o700, exist_ok=True)
    for part in (trash, os.path.join(trash, "files"), os.path.join(trash, "info")):
        with contextlib.suppress(FileNotFoundError):
            _check(part, os.lstat(part))
    return trash


def _check_ours(trash: str, files: int, info: int) -> None:
    for part, directory in (("files", files), ("info", info)):
        _check(os.path.join(trash, part), os.fstat(directory))


def _check(part: str, status: os.stat_result) -> None:
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise StorageError(0, f"{part} is not a directory of this user; have that removed")


def _info(path: str) -> bytes:
    """What the file beside it says: where it was, and when it was deleted."""
    now = datetime.now().isoformat(timespec="seconds")
    spelled = quote_from_bytes(os.fsencode(path))
    return f"[Trash Info]\nPath={spelled}\nDeletionDate={now}\n".encode()
