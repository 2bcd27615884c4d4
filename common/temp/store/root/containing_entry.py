"""Leases on the entry that contains a path, for processes that use it but did not make it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ...core.layouts import KNOWN_CATEGORIES, ROOT_FILES, STORE
from ...errors import TempError
from ..project.links import ways
from ..project.project import ROOT_NAME
from .current_owners import own
from .owner_kinds import BORROWED, PLAIN


def lease_around(path: str) -> Callable[[], None] | None:
    """Take a lease on the entry that contains the absolute `path`, which need not exist, and on
    the entries that symlinks on the path lead to. Returns a function that ends these leases; `None`
    if there is no entry or this process already has the leases.

    Raises `Refused` or `StorageError`.
    """
    from .owner import release  # a status also uses this module, but does not need it

    around: dict[tuple[str, str], str] = {}
    for way in ways(path):
        root = root_above(way)
        relative = None if root is None else _entry_of(root, way)
        if root is not None and relative is not None:
            around.setdefault((os.path.realpath(root), relative), root)
    taken = [(root, relative) for (_, relative), root in around.items() if _lease(root, relative)]

    def end() -> None:
        for root, relative in taken:
            release(root, relative, BORROWED)

    return end if taken else None


def _lease(root: str, relative: str) -> bool:
    """Take a lease on that entry; false if this process has one already."""
    from ..settings.recorded_layout import layout_of
    from .allocation import adopt

    owners = (own(root, book) for book in (PLAIN, BORROWED))
    if any(owner is not None and relative in owner.live and owner.is_current() for owner in owners):
        return False
    adopt(root, relative, layout_of(Path(root), is_scratch=True), BORROWED)
    return True


def entries_around(path: str) -> Iterator[tuple[Path, str]]:
    """The roots above the absolute `path`, nearest first, each with the entry that contains `path`.

    Symlinks in its parents are resolved first, but `path` itself is not.
    """
    path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    root = root_above(path)
    while root is not None:
        relative = _entry_of(root, path)
        if relative is not None:
            yield Path(root), relative
        root = root_above(root)


def root_above(path: str) -> str | None:
    """The nearest root above `path`; `path` itself does not count."""
    above = os.path.dirname(path)
    while above != path:
        if os.path.basename(above) == ROOT_NAME or os.path.isdir(os.path.join(above, STORE)):
            return above
        path, above = above, os.path.dirname(above)
    return None


def _entry_of(root: str, path: str) -> str | None:
    """The entry of `root` that contains, or would contain, `path`, relative to the root."""
    from .find_entry import locate

    try:
        there, relative = locate(Path(path))
        if str(there) == root:
            return relative
    except TempError:
        pass  # it does not exist yet
    first, _, rest = os.path.relpath(path, root).replace(os.sep, "/").partition("/")
    if first in ROOT_FILES:
        return None
    if rest and first in KNOWN_CATEGORIES:
        return f"{first}/{rest.partition('/')[0]}"
    return first
