"""Files that git tracks in the entries of one root, for example after `git add -f`.

Every scan needs this, so git is run only if the index mentions the root at all.
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
from ..project.store_guard import folds_case
from ..system.letter_case import folded

if TYPE_CHECKING:
    from ..repositories.repository import Asker, Repository

_MOST_INDEX: Final = 1 << 28
_PLAIN_VERSIONS: Final = (b"DIRC\0\0\0\2", b"DIRC\0\0\0\3")
"""The first bytes of an index that stores its paths uncompressed."""


class _Told(NamedTuple):
    """The sorted paths tracked below the root, relative to it, valid while the index has that
    `state`. `failure` says why they are unknown.
    """

    state: tuple[int, ...] | None = None
    paths: tuple[str, ...] = ()
    failure: str = ""


class TrackedEntries:
    """Tells what the work trees that contain a root, or are at it, track in it. Looked up again
    when an index changes.

    A repository only counts if it belongs to this user, to the superuser or to the owner of the
    scratch root: any other user may have put it there.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._told: dict[Repository, _Told] | None = None
        self._folds = folds_case(root)

    def inside(self, path: str) -> str:
        """A text that names a file tracked in the entry at `path`, or says that this is unknown; ""
        if nothing is tracked there.
        """
        for told in self._up_to_date():
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
        """Whether git tracks, or may track, anything in the root."""
        return any(told.failure or told.paths for told in self._up_to_date())

    def _up_to_date(self) -> Iterator[_Told]:
        if self._told is None:
            self._told = {one: _Told(()) for one in self._repositories()}
        for repository, told in self._told.items():
            state = _state(repository)
            if state != told.state:
                told = self._told[repository] = self._ask(repository, state)
            yield told

    def _repositories(self) -> list[Repository]:
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
        from ..repositories.repository import Asker, CannotTell

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
    from ..repositories.repository import CannotTell, repository_of  # not every root is in one

    # With a dangling `.git`, git itself finds no repository either.
    with contextlib.suppress(CannotTell):
        yield repository_of(tree)


def _in_last_commit(ask: Asker, below: str) -> bytes:
    """The paths below `below` in the HEAD commit, for a work tree that has lost its index."""
    if not os.path.lexists(os.path.join(ask.repository.directory, "HEAD")):
        return b""  # it is not a repository
    if not ask("rev-list", "--max-count=1", "--all"):
        return b""  # a new repository has no index until something is added
    return ask("ls-tree", "-r", "-z", "--name-only", "--full-tree", "HEAD", "--", below)


def _state(repository: Repository) -> tuple[int, ...] | None:
    """A value that changes with the index; `None` if there is no index."""
    try:
        status = os.stat(f"{repository.directory}/index")
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _may_name(directory: str, below: bytes) -> bool:
    """Whether the index of that repository may have paths below `below`."""
    from ..repositories.repository import read_plain

    index = read_plain(os.path.join(directory, "index"), _MOST_INDEX)
    if index is None or len(index) == _MOST_INDEX or not index.startswith(_PLAIN_VERSIONS):
        return True
    try:
        names = os.listdir(directory)
    except OSError:
        return True  # so that git is run, which reports the error
    if below == b".":
        return True
    # Outside the checked-out part, a sparse index names directories instead of the files in them.
    is_sparse = b"sdir\0\0\0\0" in index
    is_split = any(name.startswith("sharedindex.") for name in names)
    return is_sparse or is_split or below + b"/" in index
