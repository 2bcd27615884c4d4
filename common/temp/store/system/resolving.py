"""Following links without asking a filesystem that may not answer: a server, or a dead daemon."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Final

_REMOTE: Final = (
    b"9p", b"afs", b"autofs", b"ceph", b"cifs", b"fuse", b"glusterfs", b"lustre", b"nfs", b"nfs4",
    b"ncpfs", b"smb3", b"smbfs",
)  # fmt: skip
"""The types of filesystems, before a dot, that may wait for another machine or process for ever."""

_MOST_LINKS: Final = 40


def is_remote(kind: bytes) -> bool:
    """Whether a filesystem of that type, as a table of mounts names it, may not answer."""
    return kind.partition(b".")[0] in _REMOTE


def resolved(path: bytes, unasked: Collection[bytes]) -> bytes:
    """The absolute `path` with its links followed, but not below the mount points `unasked`.

    What is not there is left as it is. As `os.path.realpath`, which asks about every part.
    """
    return followed(path, unasked)[-1]


def followed(path: bytes, unasked: Collection[bytes]) -> list[bytes]:
    """The links on the way of the absolute `path` (by their real paths), and then as `resolved`."""
    rest, done = path.split(b"/")[::-1], b""
    links: list[bytes] = []
    while rest:
        part = rest.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            done = done.rpartition(b"/")[0]
            continue
        here = b"/".join((done, part))
        if here in unasked or len(links) > _MOST_LINKS:
            return [*links, b"/".join((here, *(one for one in rest[::-1] if one)))]
        try:
            target = os.readlink(here)
        except OSError:
            done = here
            continue
        links.append(here)
        done = b"" if target.startswith(b"/") else done
        rest += target.split(b"/")[::-1]
    return [*links, done or b"/"]
