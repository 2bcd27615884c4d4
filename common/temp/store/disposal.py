"""Ways to be rid of a claimed entry other than deleting it: the trash and the archive."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from ..core.layout import STORE
from ..errors import StorageError
from . import at
from .allocation import make_root
from .project import user_root

try:
    import fcntl
except ImportError:  # Windows, where the shell itself trashes one at a time
    fcntl = None  # type: ignore[assignment]

_CHUNK = 1 << 20
_NAME_BYTES = 240


class NotDisposed(Exception):
    """An entry that was neither trashed nor archived, and is where it was; the text says why."""


def send_to_trash(path: Path) -> None:
    """Move `path` to the desktop's trash, from where the desktop can put it back.

    One entry a call, and one call at a time among all processes of the user: send2trash picks a
    name and then takes it, so two calls with one name would lose an entry. Raises `NotDisposed`.
    """
    from send2trash import send2trash

    try:
        with _one_at_a_time():
            send2trash(str(path))
    except Exception as error:  # it raises OSError, its own kinds, and whatever a desktop's does
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise NotDisposed(
            f"cannot be trashed ({reason}); delete it without --trash, or free the trash"
        ) from error


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    root = user_root()
    make_root(str(root))
    path = root / STORE / "trash.lock"
    with _locked(os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600)):
        yield


def archive_to(source: Path, archive: Path, name: str) -> tuple[Path, bool]:
    """Put `source` into the directory `archive` under `name`; where it is, and whether it moved.

    On the same filesystem it is moved, by one rename. Otherwise it is copied, every file is
    compared by size and BLAKE2, and the source stays for the caller to delete. A kill at any
    instant leaves the source whole, or the archive's copy, and perhaps a `.part` beside the
    archives. A name that is taken gets a number. Raises `NotDisposed`, with the source untouched.
    """
    inside = os.path.realpath(archive) + os.sep
    if inside.startswith(os.path.realpath(source) + os.sep):
        raise NotDisposed(
            f"cannot be archived in {archive}, which lies in it; choose another place"
        )
    try:
        _make_archive(archive)
        name = _fitting(name)
        try:
            return _move(source, archive, name), True
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        part = archive / f".{os.urandom(8).hex()}.part"
        try:
            _copy(source, part)
            _verify(source, part)
            return _move(part, archive, name), False
        except BaseException:
            forget(part)
            raise
    except (OSError, RecursionError) as error:  # the latter for a tree of great depth
        reason = getattr(error, "strerror", None) or str(error)
        raise NotDisposed(
            f"cannot be archived in {archive} ({reason}); choose another archive_location, "
            "or clean without archiving"
        ) from error


def _make_archive(archive: Path) -> None:
    if not archive.is_dir():
        archive.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), open(archive / ".gitignore", "x") as file:
            file.write("*\n")


def _fitting(name: str) -> str:
    """`name`, cut and told apart by a digest if it and a number do not fit into 255 bytes."""
    data = os.fsencode(name)
    if len(data) <= _NAME_BYTES:
        return name
    return os.fsdecode(data[: _NAME_BYTES - 17]) + "-" + blake2b(data, digest_size=8).hexdigest()


def _move(source: Path, archive: Path, name: str) -> Path:
    """The path in `archive` that `source` was renamed to: `name`, or with a number."""
    # One at a time, because a rename over a file that another has just put there replaces it.
    with _locked(os.open(archive, os.O_RDONLY)) if at.RELATIVE else contextlib.nullcontext():
        target = archive / name
        number = 1
        while os.path.lexists(target):
            number += 1
            target = archive / f"{name}.{number}"
        os.rename(source, target)
    return target


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Hold the lock on the file or directory, waiting for it, and close it at the end."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def _verify(source: Path, copy: Path) -> None:
    """Raise `StorageError` unless `copy` holds what `source` holds, and is on the disk."""
    status = os.lstat(source)
    if stat.S_ISLNK(status.st_mode):
        same = os.readlink(source) == os.readlink(copy)
    elif stat.S_ISDIR(status.st_mode):
        names = sorted(os.listdir(source))
        same = names == sorted(os.listdir(copy))
        for name in names if same else ():
            _verify(source / name, copy / name)
    else:
        same = status.st_size == os.lstat(copy).st_size and _digest(source) == _digest(copy)
        _flush(copy)
    if not same:
        raise StorageError(0, f"the copy of {source} differs")


def _flush(path: Path) -> None:
    # The source is deleted next; a power cut must not take both.
    # Windows makes nothing durable through a descriptor that only reads.
    descriptor = os.open(path, os.O_RDONLY if at.RELATIVE else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(path: Path) -> bytes:
    digest = blake2b()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def forget(part: Path) -> None:
    """Delete a copy that is not to be kept."""
    from .removal import remove_at
    from .walk import ROOT_FLAGS

    with contextlib.suppress(OSError):
        parent = at.open(part.parent, ROOT_FLAGS)
        try:
            remove_at(parent, part.name)
        finally:
            at.close(parent)
