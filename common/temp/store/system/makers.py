"""Processes that may make entries: their `TMPDIR` or working directory is the root or a category.

Nothing else shows the names of these entries, and the process need not keep files in them open.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Iterable, Sequence

from ...core.entry import Use
from . import procfs
from .environments import TEMPORARY
from .mount_views import View


class Makers:
    """Finds, for one root, the directories in which processes may make entries."""

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
        bases: Sequence[bytes],
        values: tuple[bytes, ...],
        views: tuple[View, ...],
        *,
        is_ours: bool,
    ) -> None:
        """Record where process `pid` may make entries.

        `values` are its environment variables. Paths in them are relative to one of `bases`, the
        first of which is its working directory. `views` are the paths under which it sees the root;
        `is_ours` is whether it shares our mount namespace. Processes that only wait, such as shells
        and the ancestors of this one, do not count.
        """
        named = [os.path.join(base, one) for one in values[TEMPORARY] if one for base in bases]
        ways = [(path, "may have made it (TMPDIR)") for path in named]
        ways.append((bases[0], "works beside it, and may have made it"))
        for path, clause in ways:
            for top in self._tops_of(path, views, is_ours):
                if pid in self._waiting:
                    return
                since, known = procfs.started_at(pid), self.found.get(top)
                if known is None or since < known.since:
                    self.found[top] = Use("unknown", who(clause), since=since)

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
        from .bystanders import bystanders  # few processes work directly in a root

        return bystanders()
