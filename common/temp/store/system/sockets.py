"""Locating the files of bound Unix sockets."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import struct
from collections.abc import Iterator
from typing import Final

from . import procfs
from .mount_views import Views

_LINE: Final = rb"(?m)^[0-9a-f]+: (?:[0-9A-F]+ ){5} *([0-9]+)"
"""The start of a socket in `/proc/net/unix`, up to its inode; a path may contain newlines."""

_AF_NETLINK, _SOCK_RAW, _NETLINK_SOCK_DIAG, _BY_FAMILY, _DUMP = 16, 3, 4, 20, 0x301
_SHOWS_FILE, _OF_FILE, _NUMBER = 2, 1, 0xFFFF_FFFF
_SECONDS: Final = 2.0


class Sockets:
    """The bound sockets of processes, during one look at all of them."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._bound: dict[str, dict[bytes, bytes]] = {}
        self._last: tuple[str, dict[bytes, bytes]] = "", {}

    def bound(self, thread: str) -> dict[bytes, bytes]:
        """The inodes and paths of all bound sockets in a thread's network namespace.

        Called once for each socket of a thread, so the result for the last thread is kept.
        """
        if thread != self._last[0]:
            try:
                namespace = os.readlink(f"/proc/{thread}/ns/net")
            except OSError:
                namespace = ""
            if namespace not in self._bound:
                self._bound[namespace] = bound_sockets(thread)
            self._last = thread, self._bound[namespace]
        return self._last[1]

    def path_of(self, thread: str, inode: bytes, cwd: bytes) -> bytes | None:
        """The path of a socket of a process; `None` if it has none.

        It may have been bound to a path that means something only to that process: one relative to
        `cwd`, or below `/proc/self`.
        """
        bound = self.bound(thread)
        if inode not in bound:
            return None
        path = os.path.join(cwd, bound[inode])
        if path.startswith(b"/proc/self/"):
            path = b"/proc/%s/%s" % (thread.encode(), path[len(b"/proc/self/") :])
        if not self._leads_off(path):
            bound[inode] = path
        return path

    def astray(self) -> Iterator[bytes]:
        """The socket files in the directory whose bound paths no longer lead to them, found by
        inode. Their process may have changed its directory, or a directory was renamed.
        """
        sought = {inode for inode, path in self.bound("self").items() if self._leads_off(path)}
        told = _numbers(self._views.device) if sought else {}
        # Not by name: many servers link or rename their socket to its place once they listen.
        if numbers := {number for inode, number in told.items() if inode in sought}:
            for path, inode_there in self._views.below():
                if inode_there & _NUMBER in numbers:
                    yield path

    def _leads_off(self, path: bytes) -> bool:
        if not path.startswith(b"/") or path.startswith(b"/proc/self/"):
            return True
        place = self._views.resolved(path)
        try:
            return self._views.may_ask(place) and not stat.S_ISSOCK(os.lstat(place).st_mode)
        except OSError:
            return True


def bound_sockets(pid: str) -> dict[bytes, bytes]:
    """The inodes and paths of the bound sockets in the process's network namespace."""
    try:
        table = procfs.read(f"/proc/{pid}/net/unix")
    except OSError:
        return {}
    lines = list(re.finditer(_LINE, table))
    ends = [line.start() - 1 for line in lines[1:]] + [len(table) - 1]
    paths = ((line[1], table[line.end() + 1 : end]) for line, end in zip(lines, ends, strict=False))
    return {inode: path for inode, path in paths if path and not path.startswith(b"@")}


def _numbers(device: int) -> dict[bytes, int]:
    """The inodes of the bound sockets in this network namespace whose files are on the device, each
    with the lower half of its file's inode; empty where the kernel does not tell.
    """
    import _socket  # `socket` takes milliseconds to import

    found: dict[bytes, int] = {}
    with contextlib.suppress(OSError, struct.error):
        asked = _socket.socket(_AF_NETLINK, _SOCK_RAW, _NETLINK_SOCK_DIAG)
        try:
            asked.settimeout(_SECONDS)
            request = struct.pack("=BBHIIIII", 1, 0, 0, _NUMBER, 0, _SHOWS_FILE, 0, 0)
            head = struct.pack("=IHHII", 16 + len(request), _BY_FAMILY, _DUMP, 1, 0)
            asked.send(head + request)
            while _read(asked.recv(1 << 16), device, found):
                pass
        finally:
            asked.close()
    return found


def _read(told: bytes, device: int, found: dict[bytes, int]) -> bool:
    """Add one reply of the kernel to `found`; return whether more follow."""
    at = 0
    while at < len(told):
        length, kind = struct.unpack_from("=IH", told, at)
        if kind != _BY_FAMILY:
            return False
        (inode,) = struct.unpack_from("=I", told, at + 20)
        attribute = at + 32
        while attribute < at + length:
            size, name = struct.unpack_from("=HH", told, attribute)
            if name == _OF_FILE:
                number, on = struct.unpack_from("=II", told, attribute + 4)
                if on == device:
                    found[b"%d" % inode] = number
            attribute += max((size + 3) & ~3, 4)
        at += max((length + 3) & ~3, 16)
    return True
