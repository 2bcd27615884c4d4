"""Files that the kernel itself has open, for loop devices or swap."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Final

from .detached_mounts import Detached
from .mount_views import Views
from .mounts import unescape
from .procfs import open_now, read

_LOOP_GET_STATUS64: Final = 0x4C05
_STATUS_BYTES: Final = 232
_NUMBER_BYTES: Final = 8


def held_by_kernel(views: Views, detached: Detached) -> Iterator[tuple[bytes, str]]:
    """The files in the directory of the `views` that the kernel has open: the path of each,
    relative to the directory, and a clause that says what uses it.

    The kernel reports the path as seen by the process that set it up (in a container, or through a
    bind mount that is gone). A loop device also reports the file's device and inode, if this
    process may open it.
    """
    for path, device in (*_loops(), *_swaps()):
        who = f"the device {device} has a file in it open" if device else "the system swaps to it"
        found = {view.relative(path) for view in views.of("self")} - {None}
        if not found:
            file = _file_of(device) if device else None
            if file is None:
                found = set(detached.places_of(path))
            elif file[0] == _device(views.place):
                top = len(views.place.rstrip(b"/")) + 1
                found = {one[top:] for one, inode in views.below() if inode == file[1]}
        yield from ((place, who) for place in found if place)


def _loops() -> Iterator[tuple[bytes, str]]:
    with contextlib.suppress(OSError):
        for name in os.listdir("/sys/block"):
            if name.startswith("loop"):
                with contextlib.suppress(OSError):
                    yield read(f"/sys/block/{name}/loop/backing_file").removesuffix(b"\n"), name


def _swaps() -> Iterator[tuple[bytes, str]]:
    with contextlib.suppress(OSError), open("/proc/swaps", "rb") as file:
        for line in file:
            path, _, rest = line.partition(b" ")
            if rest.split(None, 1)[:1] == [b"file"]:
                yield unescape(path), ""


def _file_of(device: str) -> tuple[int, int] | None:
    """The device number and inode of a loop device's file; `None` if the loop device cannot be
    opened.
    """
    try:
        import fcntl

        descriptor = open_now(f"/dev/{device}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (ImportError, OSError):
        return None
    try:
        said = fcntl.ioctl(descriptor, _LOOP_GET_STATUS64, bytes(_STATUS_BYTES))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    filesystem, inode = (
        int.from_bytes(said[start : start + _NUMBER_BYTES], sys.byteorder)
        for start in (0, _NUMBER_BYTES)
    )
    return filesystem, inode


def _device(path: bytes) -> int:
    try:
        return os.stat(path).st_dev
    except OSError:
        return -1
