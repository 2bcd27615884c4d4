"""Listing the symlinks in a tree without examining its files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..system import at
from ..system.opening import open_unmounted
from .open_directories import Descent, Level


class _Level(Level):
    __slots__ = ("path", "pending")

    def __init__(self, path: str, descriptor: int, depth: int) -> None:
        super().__init__(at.dup(descriptor), at.fstat(descriptor), depth)
        self.path = path
        self.pending: list[str] = []


def links_in(descriptor: int) -> Iterator[tuple[str, str]]:
    """The path and the target of each symlink in the open directory, at any depth.

    An unreadable directory, or one on another filesystem, is left out.
    """
    descent: Descent[_Level] = Descent()
    try:
        descent.push(_Level("", descriptor, 0))
        yield from _links_of(descent.levels[-1])
        while descent.levels:
            level = descent.levels[-1]
            if not level.pending:
                done = descent.pop()
                try:
                    with contextlib.suppress(OSError):  # it was moved: the rest is left out
                        descent.reopen(done)
                finally:
                    done.close()
                continue
            name = level.pending.pop()
            assert level.descriptor is not None
            with contextlib.suppress(OSError):
                below = open_unmounted(name, dir_fd=level.descriptor)
                try:
                    child = _Level(f"{level.path}{name}/", below, level.depth + 1)
                finally:
                    at.close(below)
                descent.push(child)
                yield from _links_of(child)
    finally:
        descent.close()


def _links_of(level: _Level) -> Iterator[tuple[str, str]]:
    """The symlinks directly in one directory; its subdirectories become pending."""
    assert level.descriptor is not None
    found = []
    with contextlib.suppress(OSError), at.scandir(level.descriptor) as items:
        for item in items:
            if item.is_symlink():
                found.append(item.name)
            elif item.is_dir(follow_symlinks=False):
                level.pending.append(item.name)
    for name in found:
        with contextlib.suppress(OSError):
            yield f"{level.path}{name}", at.readlink(name, dir_fd=level.descriptor)
