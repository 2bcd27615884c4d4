"""The symlinks in the path of a directory, and whether their targets may be cleaned.

Another person may have chosen the target of a symlink: the author of a cloned repository, or a user
who can write to the directory. Following it unchecked would delete the files there.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from ...core.layouts import LAYOUT, OWNERS, STORE
from ...core.named_tuple import NamedTuple
from ...errors import Refused
from ..system import at
from ..system.opening import opened, opened_below

_MOST_LINKS: Final = 40
"""The limit of Linux."""

_NOTHING: Final = "lost+found"
"""A directory that a new filesystem has at its top."""


class Link(NamedTuple):
    """A symlink at its real path; `is_last` if it is the last part of the requested path.

    The `identity` tells it from another symlink that takes its place.
    """

    path: str
    owner: int
    identity: tuple[int, int, int]
    is_last: bool


def follow(path: str) -> tuple[str, tuple[Link, ...]]:
    """The real path of the absolute `path`, and the symlinks in it; parts may be missing.

    Raises `OSError` if a part cannot be read.
    """
    real, _, rest = path.partition(os.sep)
    real += os.sep
    parts = rest.split(os.sep)[::-1]
    spelled = len(parts)  # how many parts of the given path are left
    links: list[Link] = []
    while parts:
        part = parts.pop()
        was_last = spelled == 1 and len(parts) == 0
        spelled = min(spelled, len(parts))
        if part in ("", os.curdir):
            continue
        if part == os.pardir:
            real = os.path.dirname(real)
            continue
        here = os.path.join(real, part)
        try:
            seen = at.stat(here, follow_symlinks=False)
            target = os.readlink(here) if stat.S_ISLNK(seen.st_mode) else ""
        except (FileNotFoundError, NotADirectoryError):
            target = ""
        if not target:
            real = here
            continue
        if len(links) == _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        changed = getattr(seen, "st_ctime_ns", seen.st_mtime_ns)
        identity = (seen.st_dev, seen.st_ino, changed)
        links.append(Link(here, seen.st_uid, identity, was_last))
        if os.path.isabs(target):
            drive, target = os.path.splitdrive(target)
            real = drive + os.sep
        parts += target.split(os.sep)[::-1]
    return real, tuple(links)


def ways(path: str) -> tuple[str, ...]:
    """The absolute `path`, the real path of each symlink in it, and its own real path."""
    try:
        real, links = follow(path)
    except OSError:
        return (path,)
    return tuple(dict.fromkeys((path, *(link.path for link in links), real)))


def check_link(link: Link, leads_to: str, *, is_ours: bool) -> None:
    """Raise `Refused` if `link` may not be followed.

    With `is_ours` it must belong to the caller and not be tracked by git: for places where a
    repository or another user may have put it. Elsewhere it may belong to root, who creates the
    system's symlinks. The error says that it leads to `leads_to`.
    """
    if not hasattr(os, "geteuid"):
        return
    if link.owner != os.geteuid() and (is_ours or link.owner != 0):
        raise Refused(
            f"{link.path} is a symlink of another user to {leads_to}; remove the link, or make one "
            "of your own"
        )
    if is_ours:
        _check_untracked(link, leads_to)


_untracked: set[tuple[str, tuple[int, int, int]]] = set()
"""The symlinks that git does not track. One that git creates there later has another identity."""


def _check_untracked(link: Link, leads_to: str) -> None:
    if (link.path, link.identity) in _untracked:
        return
    from .tracked import tracks  # rarely needed: it starts git

    if tracks(link.path):
        raise Refused(
            f"{link.path} is a symlink to {leads_to} that git tracks; remove it from git (git rm "
            "--cached) if you made it, or else remove the link"
        )
    _untracked.add((link.path, link.identity))


def check_target(root: str, real: str, *, is_scratch: bool) -> tuple[int, int]:
    """The identity of the directory `real`, to which `root` leads, if it may be a root.

    It must belong to the caller, and be empty or already a root: only this program names a
    directory `.tempkeep`. With `is_scratch` everything in `root` would be an entry, so an existing
    root must be one of scratch, or its store empty, as when the user makes it. Raises `Refused`, or
    `OSError` if it cannot be read.
    """
    with opened(real) as top:
        status = at.fstat(top)
        _check_owner(root, real, status)
        names = set(at.listdir(top))
        is_marked = _is_marked(top, names)
        if not is_marked and not _is_empty(names):
            raise Refused(
                f"{root} is a symlink to {real}, which is neither empty nor made by tempkeep; "
                f"remove the link, or if everything there is scratch: mkdir {real}/{STORE}"
            )
        if is_scratch and is_marked:
            _check_scratch(root, real, top)
        return status.st_dev, status.st_ino


def check_owner(root: str, real: str) -> tuple[int, int]:
    """The identity of the directory `real`, to which `root` leads, if it belongs to the caller.

    Raises `Refused`, or `OSError` if it cannot be read.
    """
    status = at.stat(real, follow_symlinks=False)
    _check_owner(root, real, status)
    return status.st_dev, status.st_ino


def _check_owner(root: str, real: str, status: os.stat_result) -> None:
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise Refused(
            f"{root} is a symlink to {real}, a directory of another user; remove the link"
        )


def _is_empty(names: set[str]) -> bool:
    # An unfinished store of a killed process counts as empty too.
    return all(name == _NOTHING or name.startswith(f"{STORE}-") for name in names)


def _is_marked(top: int, names: set[str]) -> bool:
    if STORE not in names:
        return False
    status = at.stat(STORE, dir_fd=top, follow_symlinks=False)
    mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return stat.S_ISDIR(status.st_mode) and mine


def _check_scratch(root: str, real: str, top: int) -> None:
    """Raise `Refused` if the store belongs to an archive, or to jobs, files or runs.

    Such a store either records its layout or has no owners directory, which a clean alone does not
    create there.
    """
    with opened_below(top, STORE) as store:
        parts = set(at.listdir(store))
    if LAYOUT in parts:
        raise Refused(
            f"{root} is a symlink to {real}, which holds jobs, files or runs; remove the link"
        )
    if parts and OWNERS not in parts:
        raise Refused(
            f"{root} is a symlink to {real}, which may hold more than scratch; remove the link, "
            f"or if everything there is scratch: mkdir {real}/{STORE}/{OWNERS}"
        )
