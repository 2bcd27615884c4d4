"""Following symlinks without touching a filesystem that may hang: a server, or a dead daemon."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from typing import Final

_REMOTE: Final = (
    b"9p", b"afs", b"autofs", b"ceph", b"cifs", b"fuse", b"glusterfs", b"lustre", b"nfs", b"nfs4",
    b"ncpfs", b"smb3", b"smbfs",
)  # fmt: skip
"""Filesystem types (the part before a dot) that may wait for ever for a machine or a process."""

_MOST_LINKS: Final = 40

_NOTHING_BELOW: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EACCES})
"""The errors for a part of a path that also hold for every part below it."""


def is_remote(kind: bytes) -> bool:
    """Whether a filesystem of that type, as named in a mount table, may hang."""
    return kind.partition(b".")[0] in _REMOTE


def followed(path: bytes, unasked: Collection[bytes], plain: set[bytes]) -> list[bytes]:
    """The real paths of the symlinks in the absolute `path`, and last the path it resolves to.

    Resolves as `os.path.realpath` does, but follows nothing below the mount points `unasked`.
    Missing parts are kept as they are. `plain` caches paths known not to be symlinks; new ones are
    added to it.
    """
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
        if here in plain:
            done = here
            continue
        try:
            target = os.readlink(here)
        except OSError as error:
            done = here
            if error.errno == errno.EINVAL:
                plain.add(here)
            elif error.errno in _NOTHING_BELOW and b".." not in rest:
                break
            continue
        links.append(here)
        done = b"" if target.startswith(b"/") else done
        rest += target.split(b"/")[::-1]
    end = b"/".join((done, *(one for one in rest[::-1] if one not in (b"", b"."))))
    return [*links, end or b"/"]
