"""What to keep of a tree that is thinned out: paths that match, and targets of kept symlinks."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from ...core.entry import database_of
from ...core.layouts import directories_above, is_inside
from ...errors import StorageError
from .contents import tree

Matches = Callable[[str], bool]
"""Whether a path in the tree matches."""

_MOST_LINKS: Final = 40
"""How many symlinks may be chained; the limit of Linux."""


class Kept(NamedTuple):
    """What is kept of a tree: `paths`, directories with everything in them, and the directories
    `above` those ("" is the top). `rest` is whether there is anything else.
    """

    paths: frozenset[str]
    above: frozenset[str]
    rest: bool

    def holds(self, path: str) -> bool:
        """Whether `path` is kept."""
        return (
            path in self.paths
            or path in self.above
            or any(up in self.paths for up in directories_above(path))
        )


def find_kept(parent: int, name: str, matches: Matches, place: str) -> Kept:
    """What to keep of the directory `name` in the open `parent`.

    `place` is the real path that the directory has when it is not moved aside: symlinks may lead
    there. Raises `OSError` if a part cannot be read or is a mount point.
    """
    targets: set[str] = set()
    outside = _Outside(place)
    for _ in range(_MOST_LINKS):
        paths, links, kept_links, rest = _look(parent, name, matches, targets)
        ways = (_followed(link, links, place, outside) for link in kept_links)
        more = {target for way in ways for target in way} - targets
        if not more:
            above = _above(paths)
            return Kept(frozenset(paths), above, any(one not in above for one in rest))
        targets |= more
    raise StorageError(errno.ELOOP, os.strerror(errno.ELOOP))


def _above(paths: Collection[str]) -> frozenset[str]:
    above = {""} if paths else set()
    for path in paths:
        for up in directories_above(path):
            if up in above:
                break
            above.add(up)
    return frozenset(above.difference(paths))


def _look(
    parent: int, name: str, matches: Matches, targets: Collection[str]
) -> tuple[set[str], dict[str, str], list[str], list[str]]:
    """The kept paths, the targets of all symlinks, the kept symlinks, and one file that may go (or
    if there is none, the directories that may).
    """
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
        elif item.kind == "link" and item.target in links:  # a symlink can have several names
            links[path] = links[item.target]
        is_within = whole is not None and is_inside(path, whole)
        stays = is_within or "" in targets
        if path and not stays:
            # SQLite keeps a database's companion files beside the target of a symlink.
            stays = path in targets or database_of(path) in targets or matches(path)
        if stays and path in links:
            kept_links.append(path)
        if not path or is_within:
            continue
        if stays:
            paths.add(path)
            whole = path if item.kind == "directory" else whole
        elif not has_file:
            has_file = item.kind != "directory"
            if has_file:
                rest.clear()
            rest.append(path)
    return paths, links, kept_links, rest


def _followed(link: str, links: Mapping[str, str], place: str, outside: _Outside) -> set[str]:
    """The paths in the tree at `place` that the symlink at `link` passes through and leads to."""
    found: set[str] = set()
    top = [part for part in place.split(os.sep) if part]
    here = [*top, *link.split("/")[:-1]]
    target: str | None = links[link]
    todo: list[str] = []
    for _ in range(_MOST_LINKS):
        if target is None:
            break
        if os.path.isabs(target):
            here = []
        todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
        target = None
        while todo and target is None:
            part = todo.pop()
            if part == "..":
                del here[-1:]
                continue
            here.append(part)
            path = _below(here, top)
            if path is None and part == top[-1] and outside.is_above(_joined(here[:-1])):
                here, path = [*top], ""
            target = outside.target(_joined(here)) if path is None else links.get(path)
            if target is not None:
                here.pop()
                if path is not None:
                    found.add(path)
    else:
        return found  # a loop
    if (path := _below(here, top)) is not None:
        found.add(path)
    return found


def _below(parts: list[str], top: list[str]) -> str | None:
    """`parts` as a path relative to `top`; `None` if it is not below `top`."""
    return "/".join(parts[len(top) :]) if parts[: len(top)] == top else None


def _joined(parts: list[str]) -> str:
    return os.sep + os.sep.join(parts)


class _Outside:
    """Looks up the parts of a symlink's path that are outside the tree at `place`."""

    def __init__(self, place: str) -> None:
        self._above: os.stat_result | None = None
        with contextlib.suppress(OSError):
            self._above = os.stat(os.path.dirname(place))
        self.target = functools.cache(_target_of)
        self.is_above = functools.cache(self._is_above)

    def _is_above(self, path: str) -> bool:
        """Whether `path` is the parent directory of the tree, perhaps through a bind mount."""
        try:
            return self._above is not None and os.path.samestat(os.stat(path), self._above)
        except OSError:
            return False


def _target_of(path: str) -> str | None:
    """The target of the symlink at `path`; `None` if it is not a symlink."""
    try:
        return os.readlink(path)
    except OSError:
        return None
