"""Processes whose `TMPDIR` is the root or a directory of it: entries made there may be theirs.

Such a process makes entries by names that nothing else shows, and need not keep files in them open.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Iterable

from ...core.entry import Use
from . import procfs
from .environments import TEMPORARY
from .mount_views import View


class TemporaryFiles:
    """Finds, for one root, the directories in which processes make their temporary files."""

    def __init__(self, followed: Callable[[bytes], Iterable[bytes]]) -> None:
        """`followed` returns the paths that a path in our mount namespace leads to."""
        self.found: dict[bytes, Use] = {}
        """The uses by directory, relative to the root: b"" for the root itself."""
        self._followed = followed
        self._tops: dict[tuple[int, bytes, bytes], Collection[bytes]] = {}

    def take_in(
        self,
        pid: str,
        who: Callable[[str], str],
        bases: Collection[bytes],
        values: tuple[bytes, ...],
        views: tuple[View, ...],
        *,
        is_ours: bool,
    ) -> None:
        """Record where process `pid` makes temporary files. `values` are its variables, relative
        to `bases`; `views` are what it sees of the root, if that `is_ours` by the paths of this
        process. Processes that only wait, such as shells and the ancestors of this one, do not
        count.
        """
        named = [os.path.join(base, one) for one in values[TEMPORARY] if one for base in bases]
        tops = {top for path in named for top in self._tops_of(path, views, is_ours)}
        if not tops or pid in self._waiting:
            return
        since = procfs.started_at(pid)
        for top in tops:
            known = self.found.get(top)
            if known is None or since < known.since:
                said = who("may have made it (TMPDIR)")
                self.found[top] = Use("unknown", said, since=since)

    def _tops_of(self, path: bytes, views: tuple[View, ...], is_ours: bool) -> Collection[bytes]:
        known = id(views), path, b"1" if is_ours else b""
        if known not in self._tops:
            ways = {os.path.normpath(path), *(self._followed(path) if is_ours else ())}
            inside = {view.relative(way + b"/.") for way in ways for view in views}
            tops = {os.path.dirname(one) for one in inside if one is not None}
            self._tops[known] = [top for top in tops if b"/" not in top]
        return self._tops[known]

    @functools.cached_property
    def _waiting(self) -> frozenset[str]:
        from .bystanders import bystanders  # few processes have a TMPDIR in scratch

        return bystanders()
