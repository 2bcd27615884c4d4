"""The names of entries offered for shell completion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from ..core.layouts import SCRATCH
from ..store.project.place import homeless_roots, standing_project
from ..store.project.project import check_root, root_of
from ..store.root.leases import Leases
from ..store.root.listing import listing
from ..store.settings.loading import load
from ..store.settings.recorded_layout import layout_of
from ..store.settings.settings import Settings

_PLAIN: Final = "._+,%-/"
"""The characters, beside letters and digits, that need no quoting in any shell."""


def candidates(task: str, beginning: str) -> list[str]:
    """Return arguments of `task` that start with `beginning`: `category/name`, or a unique name.

    Invoke's completion scripts let the shell expand the candidates, so names that need quoting are
    left out.
    """
    settings = load(standing_project())
    paths = [path for path in _paths(task, settings) if _is_plain(path)]
    found = [path for path in paths if path.startswith(beginning)]
    if not found and "/" not in beginning:
        names = Counter(path.rpartition("/")[2] for path in paths)
        found = [name for name, count in names.items() if count == 1]
    return sorted({name for name in found if name.startswith(beginning)})


def _paths(task: str, settings: Settings) -> Iterable[str]:
    """Return the paths of the entries that `task` accepts."""
    if task != "temp_restore":
        return _listed(settings, pinned=task == "temp_unpin")
    from .restore import restorable

    return restorable(settings)


def _listed(settings: Settings, *, pinned: bool) -> Iterator[str]:
    """Yield the paths of the entries in their roots, or only of the pinned ones."""
    roots = settings.other_roots()
    for root in dict.fromkeys((root_of(settings.project), *roots, *homeless_roots())):
        if not check_root(root):
            continue
        layout = layout_of(root, is_scratch=False) if root in roots else SCRATCH
        paths = [item.path for item in listing(root, Leases(root), layout)[0]]
        yield from _pinned(root, paths) if pinned else paths


def _pinned(root: Path, paths: Iterable[str]) -> Iterator[str]:
    from ..store.root.pinning import Pins

    pins = Pins(root)
    return (path for path in paths if pins.of(path) is not None)


def _is_plain(path: str) -> bool:
    return not path.startswith(("-", "+", "%", "/")) and all(
        letter.isalnum() or letter in _PLAIN for letter in path
    )
