"""Reserving names in an archive by a manifest, which is written before the entry arrives.

A manifest without an entry belongs to a running process, which holds a lock on it, or to a killed
one.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Final

from ..system import at
from ..system.archive_formats import FORMATS, suffix_of
from ..system.at import ROOT_FLAGS
from ..system.locks import has_locks, lock_file
from ..system.opening import opened
from .manifest import BEGINNING, MANIFEST, Manifest, manifest_path

_BINARY: Final = getattr(os, "O_BINARY", 0)
_NAME_BYTES: Final = 225
"""The longest name (bytes): with a number and `MANIFEST` appended it must fit into 255 bytes."""


class Reservation:
    """A unique name in `archive`. Close it after use: its manifest stays.

    `name` is empty until one is taken. While this is open, other processes leave the manifest
    alone.
    """

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.name = ""
        self._descriptor = -1
        self._top = -1

    def take(self, top: int, wanted: str, manifest: Manifest) -> None:
        """Write `manifest` to the open archive `top`, under `wanted` or with a number appended."""
        self._top, by = top, Path(at.anchored(top, str(self.archive)))
        wanted = _shortened(wanted)
        text = manifest.spell().encode()
        for number in itertools.count(1):
            name = wanted if number == 1 else f"{wanted}.{number}"
            if is_taken(by, name):
                continue
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | _BINARY
            try:
                descriptor = os.open(manifest_path(by, name), flags, 0o600)
            except FileExistsError:
                continue
            self.close()
            # Not earlier: `give_up` removes any manifest of that name.
            self.name, self._descriptor = name, descriptor
            lock_file(descriptor)
            if os.write(descriptor, text) != len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
            # Before it was locked, another process may have removed it as stale.
            if os.fstat(descriptor).st_nlink:
                return

    def give_up(self) -> None:
        """Remove the manifest, if one was written. The archive that it was written to must still be
        open.
        """
        self.close()  # this holds the lock, and some systems cannot unlink an open file
        name, self.name = self.name, ""
        if name:
            forget_manifest(self._top, name)

    def close(self) -> None:
        """Unlock the manifest, and leave it in place."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def is_taken(archive: Path, name: str) -> bool:
    """Whether anything in the archive has that name, in any format."""
    return any(os.path.lexists(archive / f"{name}{suffix_of(form)}") for form in FORMATS)


def _shortened(name: str) -> str:
    """`name`; if it is too long, its beginning and a digest."""
    data = os.fsencode(name)
    if len(data) <= _NAME_BYTES:
        return name
    return os.fsdecode(data[: _NAME_BYTES - 17]) + "-" + blake2b(data, digest_size=8).hexdigest()


def forget_manifest(top: int, name: str) -> None:
    """Remove the manifest of `name` from the open archive, once the entry is gone.

    The archive is given as a descriptor, since its path may lead to another one by now.
    """
    _unlink(top, f"{name}{MANIFEST}", lambda descriptor: True)


def forget_stale(archive: Path) -> None:
    """Remove the manifests that killed processes left without an entry."""
    if not has_locks():
        return  # without locks, it is unknown whether its process was killed
    with contextlib.suppress(OSError), opened(archive, ROOT_FLAGS) as top:
        _forget_stale(top, Path(at.anchored(top, str(archive))))


def _forget_stale(top: int, archive: Path) -> None:
    names = set(at.listdir(top))
    for file in names:
        name = file.removesuffix(MANIFEST)
        if file == name or any(name + suffix_of(form) in names for form in FORMATS):
            continue

        def is_stale(descriptor: int, file: str = file, name: str = name) -> bool:
            # Checked again under the lock: no process can now be about to put an entry there.
            begins = os.read(descriptor, len(BEGINNING))
            # If it has a manifest of its own, it is an archived entry with such a name.
            is_entry = os.path.lexists(manifest_path(archive, file))
            return BEGINNING.startswith(begins) and not is_entry and not is_taken(archive, name)

        _unlink(top, file, is_stale)


def _unlink(top: int, name: str, is_meant: Callable[[int], bool]) -> None:
    """Remove a manifest if no other process has it locked, and `is_meant` accepts the open file."""
    with contextlib.suppress(OSError):
        if not has_locks():
            # Without locks it is unknown who has it open, and an open file stays.
            at.unlink(name, dir_fd=top)
            return
        descriptor = at.open_file(name, dir_fd=top)
        try:
            # A running process has its manifest locked, and none can create another while this one
            # exists.
            if lock_file(descriptor) and is_meant(descriptor):
                now, there = os.fstat(descriptor), at.stat(name, dir_fd=top, follow_symlinks=False)
                is_it = (now.st_dev, now.st_ino) == (there.st_dev, there.st_ino)
                if is_it and stat.S_ISREG(now.st_mode):
                    at.unlink(name, dir_fd=top)
        finally:
            os.close(descriptor)
