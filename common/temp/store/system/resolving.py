"""Following links without asking a filesystem that may not answer: a server, or a dead daemon."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from typing import Final

_REMOTE: Final = (
    b"9p", b"afs", b"autofs", b"ceph", b"cifs", b"fuse", b"glusterfs", b"lustre", b"nfs", b"nfs4",
    b"ncpfs", b"smb3", b"smbfs",
)  # fmt: skip
"""The types of filesystems, before a dot, that may wait for another machine or process for ever."""

_MOST_LINKS: Final = 40

_NOTHING_BELOW: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EACCES})
"""The errors for a part of a path that say the same of every part below it."""


def is_remote(kind: bytes) -> bool:
    """Whether a filesystem of that type, as a table of mounts names it, may not answer."""
    return kind.partition(b".")[0] in _REMOTE


def followed(path: bytes, unasked: Collection[bytes], plain: set[bytes]) -> list[bytes]:
    """The links on the way of the absolute `path`, by their real paths, and last where it leads.

    Nothing is followed below the mount points `unasked`, and what is not there is left as it is. As
    `os.path.realpath`, but what is in `plain` is not asked about again: all that was found to be no
    link is added to it.
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
