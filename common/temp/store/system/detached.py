"""Where a process works that came through a bind mount which was unmounted since.

The kernel then tells its paths from the top of that mount on, and no table of mounts says where
that was. Whatever may be meant is found by name: to ask where such a path leads could wait for
ever, if it is on a server that is dead.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from .procfs import looking_into


class Detached:
    """The places in one directory that paths without a mount may mean."""

    def __init__(self, directory: bytes) -> None:
        self._directory = directory
        parts = directory.strip(b"/").split(b"/")
        self._ends = [b"/%s/" % b"/".join(parts[index:]) for index in range(1, len(parts))]
        """How paths into the directory begin if what was mounted lies above it."""
        self._known: dict[bytes, tuple[bytes, ...]] = {}
        self._tops: frozenset[bytes] | None = None
        self._above: tuple[bytes, ...] | None = None

    def places_of(self, path: bytes) -> tuple[bytes, ...]:
        """What `path` may mean, relative to the directory; nothing if it may be a path as it is, by
        its first part, or is that of something without a name.
        """
        if path not in self._known:
            self._known[path] = tuple(self._find(path)) if self._begins_nowhere(path) else ()
        return self._known[path]

    def _begins_nowhere(self, path: bytes) -> bool:
        if self._tops is None:
            with contextlib.suppress(OSError):
                self._tops = frozenset(os.listdir(b"/"))
        first = path[1:].partition(b"/")[0]
        is_path = path[:1] == b"/" and first != b"" and not path.endswith(b" (deleted)")
        return is_path and self._tops is not None and first not in self._tops

    def _find(self, path: bytes) -> Iterator[bytes]:
        places = [path[len(end) :] for end in self._ends if path.startswith(end)]
        # Or what was mounted is the directory itself, or lies in it: a category, an entry.
        places += [above + path[1:] for above in self._mountable()]
        begin = os.path.join(self._directory, b"")
        for place in places:
            if os.path.lexists(begin + place):
                yield place

    def _mountable(self) -> tuple[bytes, ...]:
        """The directory and those one or two levels below, each with a slash at its end."""
        if self._above is None:
            found, level = [b""], [b""]
            for _ in range(2):
                level = [below for above in level for below in self._below(above)]
                found += level
            self._above = tuple(found)
        return self._above

    def _below(self, above: bytes) -> Iterator[bytes]:
        with (
            contextlib.suppress(OSError),
            looking_into(os.path.join(self._directory, above)) as items,
        ):
            for path, item in items:
                if item.is_dir(follow_symlinks=False):
                    yield b"%s%s/" % (above, path.rpartition(b"/")[2])
