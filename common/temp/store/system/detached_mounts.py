"""Finding where a process works if it came through a bind mount that has since been unmounted.

The kernel then reports paths relative to the top of that mount, and no mount table says where that
was. Candidates are found by name: resolving such a path could hang if it is on a dead server.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from .procfs import looking_into


class Detached:
    """The places in one directory that paths from unmounted mounts may mean."""

    def __init__(self, directory: bytes) -> None:
        self._directory = directory
        parts = directory.strip(b"/").split(b"/")
        self._ends = [b"/%s/" % b"/".join(parts[index:]) for index in range(1, len(parts))]
        """How paths into the directory begin if the mounted directory was above it."""
        self._known: dict[bytes, tuple[bytes, ...]] = {}
        self._tops: frozenset[bytes] | None = None
        self._above: tuple[bytes, ...] | None = None
        self._having: dict[bytes, list[bytes]] = {}

    def places_of(self, path: bytes) -> tuple[bytes, ...]:
        """The places, relative to the directory, that `path` may mean; none unless it
        `begins_nowhere`.
        """
        if path not in self._known:
            self._known[path] = tuple(self._find(path)) if self.begins_nowhere(path) else ()
        return self._known[path]

    def begins_nowhere(self, path: bytes) -> bool:
        """Whether the first part of `path` does not exist in `/`, and the file is not deleted."""
        if self._tops is None:
            with contextlib.suppress(OSError):
                self._tops = frozenset(os.listdir(b"/"))
        first = path[1:].partition(b"/")[0]
        is_path = path[:1] == b"/" and first != b"" and not path.endswith(b" (deleted)")
        return is_path and self._tops is not None and first not in self._tops

    def _find(self, path: bytes) -> Iterator[bytes]:
        places = [path[len(end) :] for end in self._ends if path.startswith(end)]
        # Or the mounted directory was this one, or one inside it: a category, an entry.
        first = path[1:].partition(b"/")[0]
        if first not in self._having:  # many paths begin alike, and there may be many entries
            self._having[first] = [above for above in self._mountable() if self._has(above + first)]
        places += [above + path[1:] for above in self._having[first]]
        yield from filter(self._has, places)

    def _has(self, place: bytes) -> bool:
        return os.path.lexists(os.path.join(self._directory, place))

    def _mountable(self) -> tuple[bytes, ...]:
        """The directory and its subdirectories up to two levels down, each with a final slash."""
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
