"""Thinning out a tree: all goes but the files that globs match.

A matching directory stays with all that is in it, and so does what a link that stays leads to, if
that is in the tree.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from ...core.layout import directories_above, is_inside
from ...errors import StorageError
from ..system import at
from ..system.obstacle import reason_of
from ..system.opening import opened, opened_below
from .contents import tree
from .removal import remove_at
from .removed import Removed, unlink_at
from .walk import measure

Matches = Callable[[str], bool]
"""Whether a path in the tree matches."""

_MOST_LINKS: Final = 40
"""How many links may lead to one another, as for the system."""


class Kept(NamedTuple):
    """What stays of a tree: `paths`, directories with all in them, and the directories `above`
    those ("" is the top). `rest` tells whether there is anything else.
    """

    paths: frozenset[str]
    above: frozenset[str]
    rest: bool


def find_kept(parent: int, name: str, matches: Matches, places: Collection[str]) -> Kept:
    """What stays of the directory `name` in the open `parent`.

    `places` are the absolute paths that it has: links may lead there. Raises `OSError` if a part
    cannot be read or is on another filesystem.
    """
    targets: set[str] = set()
    for _ in range(_MOST_LINKS):
        paths, links, kept_links, rest = _look(parent, name, matches, targets)
        more = {
            target for link in kept_links for target in _followed(link, links, places)
        } - targets
        if not more:
            above = {up for path in paths for up in ("", *directories_above(path))} - paths
            return Kept(frozenset(paths), frozenset(above), any(one not in above for one in rest))
        targets |= more
    raise StorageError(errno.ELOOP, os.strerror(errno.ELOOP))


def _look(
    parent: int, name: str, matches: Matches, targets: Collection[str]
) -> tuple[set[str], dict[str, str], list[str], list[str]]:
    """What stays, all links, the links that stay, and the directories that may go, or one file."""
    paths: set[str] = set()
    links: dict[str, str] = {}
    kept_links: list[str] = []
    rest: list[str] = []
    has_file = False
    whole: str | None = None
    for item in tree(parent, name, contents=False):
        path = item.path
        if item.kind == "symlink":
            links[path] = item.target
        is_within = whole is not None and is_inside(path, whole)
        stays = is_within or "" in targets or (path and (path in targets or matches(path)))
        if stays and item.kind == "symlink":
            kept_links.append(path)
        if not path or is_within:
            continue
        if stays:
            paths.add(path)
            whole = path if item.kind == "directory" else whole
        elif not has_file:
            has_file = item.kind != "directory"
            rest = [path] if has_file else [*rest, path]
    return paths, links, kept_links, rest


def _followed(link: str, links: Mapping[str, str], places: Collection[str]) -> set[str]:
    """The paths in the tree that the link at `link` leads over, and to."""
    found: set[str] = set()
    here = link.split("/")[:-1]
    todo = _parts(links[link], places)
    for _ in range(10_000):
        if todo is None:
            break
        if todo[:1] == [""]:
            here = []
        if not todo:
            found.add("/".join(here))
            break
        part, *todo = todo
        if part == "..":
            if not here:
                break  # it leads out of the tree
            here.pop()
        elif part not in ("", "."):
            here.append(part)
            path = "/".join(here)
            if path in links:
                found.add(path)
                here.pop()
                further = _parts(links[path], places)
                todo = None if further is None else [*further, *todo]
    return found


def _parts(target: str, places: Collection[str]) -> list[str] | None:
    """The parts of a link's target, after an empty one if they begin at the top of the tree."""
    if not target.startswith("/"):
        return target.split("/")
    for place in places:
        if is_inside(target, place):
            return ["", *target[len(place) :].split("/")]
    return None


def size_kept(parent: int, name: str, kept: Kept) -> int:
    """The bytes on disk that stay; a file counts once, however many names it has."""
    size = 0
    seen: set[int] = set()
    with opened(name, dir_fd=parent) as top:
        for path in (*kept.paths, *kept.above):
            above, _, last = path.rpartition("/")
            with (
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                opened_below(top, *filter(None, above.split("/"))) as directory,
            ):
                status = at.stat(last or ".", dir_fd=directory, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode) and path in kept.paths:
                    with opened(last, dir_fd=directory) as whole:
                        size += measure(whole).size
                elif status.st_ino not in seen:
                    seen.add(status.st_ino)
                    size += status.st_blocks * 512
    return size


def thin(parent: int, name: str, kept: Kept, matches: Matches) -> Removed:
    """Delete all but what is `kept` in the directory `name` of the open `parent`.

    What matches and came since stays too. The directories that stay keep their times and modes.
    """
    removed = Removed()
    with opened(name, dir_fd=parent) as top:
        device = at.fstat(top).st_dev
        for above in sorted(kept.above):
            try:
                with opened_below(top, *filter(None, above.split("/"))) as directory:
                    if at.fstat(directory).st_dev != device:
                        raise OSError(errno.EXDEV, "another filesystem is mounted here")
                    _thin_one(directory, above, kept, matches, removed)
            except FileNotFoundError:
                continue
            except OSError as error:
                removed.failures.append((above, reason_of(error, name, parent)))
    return removed


def _thin_one(directory: int, above: str, kept: Kept, matches: Matches, removed: Removed) -> None:
    """Delete what does not stay directly in the open `directory`, which is `above` in the tree."""
    before = at.fstat(directory)
    if at.RELATIVE and before.st_mode & 0o700 != 0o700:
        with contextlib.suppress(OSError):  # a failure shows at the first unlink
            os.fchmod(directory, stat.S_IMODE(before.st_mode) | 0o700)
    try:
        for name in at.listdir(directory):
            path = f"{above}/{name}" if above else name
            if path not in kept.paths and path not in kept.above and not matches(path):
                _remove(directory, name, path, removed)
    finally:
        if at.RELATIVE:
            with contextlib.suppress(OSError):
                os.fchmod(directory, stat.S_IMODE(before.st_mode))
                os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))


def _remove(directory: int, name: str, path: str, removed: Removed) -> None:
    try:
        status = at.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            removed.add(unlink_at(directory, name))
            return
        found = remove_at(directory, name)
        found.failures = [(f"{path}/{at_}".rstrip("/"), why) for at_, why in found.failures]
        removed.add(found)
    except FileNotFoundError:
        return
    except OSError as error:
        removed.failures.append((path, reason_of(error, name, directory)))
