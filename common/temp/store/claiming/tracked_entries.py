"""What git tracks in the entries of one root, as one may have committed to `.tmp` with `add -f`.

That is asked for with every scan, so git is started only where its index names the root at all.
"""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...core.layouts import is_inside
from ...core.named_tuple import NamedTuple
from ..root.guard import folds_case
from ..system.letters import folded

if TYPE_CHECKING:
    from .repository import Asker, Repository

_MOST_INDEX: Final = 1 << 28
_PLAIN_VERSIONS: Final = (b"DIRC\0\0\0\2", b"DIRC\0\0\0\3")
"""How an index begins that has every path in it as it is."""


class _Told(NamedTuple):
    """What is tracked below the root, by sorted paths relative to it, while the index is as it was;
    `failure` says why that cannot be told.
    """

    state: tuple[int, ...] | None = None
    paths: tuple[str, ...] = ()
    failure: str = ""


class TrackedEntries:
    """What the work trees around a root, or the one that it is, track in it; looked up again once
    their index changes.

    A repository above that belongs to neither this user, nor root, nor whose the root is, is none
    that counts: anybody may have put it there.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._told: dict[Repository, _Told] | None = None
        self._folds = folds_case(root)

    def inside(self, path: str) -> str:
        """What git tracks in the entry at `path`, in words, or that it cannot tell; "" if nothing
        is tracked there.
        """
        for told in self._now():
            if told.failure:
                return f"cannot tell what git tracks here ({told.failure})"
            if self._folds:
                path = folded(path)
            for place in (bisect_left(told.paths, path), bisect_left(told.paths, f"{path}/")):
                for known in told.paths[place : place + 1]:
                    if is_inside(known, path):
                        return f"git tracks {os.path.basename(self._root)}/{known}"
        return ""

    def has_any(self) -> bool:
        """Whether git tracks anything in the root, or cannot tell."""
        return any(told.failure or told.paths for told in self._now())

    def _now(self) -> Iterator[_Told]:
        if self._told is None:
            self._told = {one: _Told(()) for one in self._around()}
        for repository, told in self._told.items():
            state = _state(repository)
            if state != told.state:
                told = self._told[repository] = self._ask(repository, state)
            yield told

    def _around(self) -> list[Repository]:
        try:
            trusted = {os.lstat(self._root).st_uid, 0}
            trusted.add(getattr(os, "geteuid", lambda: 0)())
        except OSError:
            return []
        found: list[Repository] = []
        above, below = self._root, ""
        while above != below:
            with contextlib.suppress(OSError):
                if os.lstat(os.path.join(above, ".git")).st_uid in trusted:
                    found += _repository_at(above)
            above, below = os.path.dirname(above), above
        return found

    def _ask(self, repository: Repository, state: tuple[int, ...] | None) -> _Told:
        from .repository import Asker, CannotTell

        below = os.path.relpath(self._root, repository.tree).replace(os.sep, "/")
        try:
            ask = Asker(repository)
            if state is None:
                listed = _in_last_commit(ask, "." if self._folds else below)
            elif self._folds:
                listed = ask("ls-files", "-z")
            elif _may_name(repository.directory, os.fsencode(below)):
                listed = ask("ls-files", "-z", "--", below)
            else:
                return _Told(state)
        except CannotTell as why:
            return _Told(state, failure=str(why))
        begin = "" if below == "." else f"{below}/"
        names = (os.fsdecode(name) for name in listed.split(b"\0"))
        if self._folds:
            begin, names = folded(begin), (folded(name) for name in names)
        paths = sorted(name[len(begin) :] for name in names if name.startswith(begin))
        return _Told(state, tuple(paths))


def _repository_at(tree: str) -> Iterator[Repository]:
    from .repository import CannotTell, repository_of  # not every root lies in one

    # Where a `.git` leads nowhere, no git finds anything either.
    with contextlib.suppress(CannotTell):
        yield repository_of(tree)


def _in_last_commit(ask: Asker, below: str) -> bytes:
    """What the commit that is checked out has below `below`: the work tree has lost its index."""
    if not os.path.lexists(os.path.join(ask.repository.directory, "HEAD")):
        return b""  # it is no repository
    if not ask("rev-list", "--max-count=1", "--all"):
        return b""  # there is no index as long as nothing was ever added
    return ask("ls-tree", "-r", "-z", "--name-only", "--full-tree", "HEAD", "--", below)


def _state(repository: Repository) -> tuple[int, ...] | None:
    """What changes with every change of the index; `None` if there is no index."""
    try:
        status = os.stat(f"{repository.directory}/index")
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _may_name(directory: str, below: bytes) -> bool:
    """Whether the index of that repository may have paths below `below`."""
    from .repository import read_plain

    index = read_plain(os.path.join(directory, "index"), _MOST_INDEX)
    if index is None or len(index) == _MOST_INDEX or not index.startswith(_PLAIN_VERSIONS):
        return True
    try:
        names = os.listdir(directory)
    except OSError:
        return True  # and so git is asked, which says what is wrong
    if below == b".":
        return True
    # A sparse index names directories outside of what is checked out in place of what is in them.
    is_sparse = b"sdir\0\0\0\0" in index
    is_split = any(name.startswith("sharedindex.") for name in names)
    return is_sparse or is_split or below + b"/" in index
