"""Finds the entry meant by a path, a name or a label, and the entries its symlinks lead to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from ...core.labels import labelled, newest, stamp_of
from ...core.layouts import SCRATCH, STORE, is_inside
from ...errors import InvalidSettings
from ..project.links import ways
from ..project.project import check_root, root_of, user_root
from ..settings.recorded_layout import layout_of
from ..system.creation_time import born_at
from .leases import Leases
from .listing import listing


def locate(path: Path, roots: Sequence[Path] = ()) -> tuple[Path, str]:
    """The nearest root that has `path` in an entry, and that entry (relative to the root).

    A nearer root may not have it in an entry: a project inside an entry can be a root itself, for
    example of pipeline runs, with most of its files in no entry. `roots` are the configured ones.
    Raises `InvalidSettings` if `path` is in no entry of any root.
    """
    absolute = Path(os.path.abspath(path))
    own = user_root()
    for root in absolute.parents:
        is_named = root in roots
        if root.name == root_of(root).name or (root / STORE).is_dir() or root == own or is_named:
            relative = absolute.relative_to(root).as_posix()
            if check_root(root):
                layout = layout_of(root, is_scratch=not is_named)
                for item in listing(root, Leases(root), layout)[0]:
                    if is_inside(relative, item.path):
                        return root, item.path
    raise InvalidSettings(f"{path} is in no entry; `temp-status` lists them")


def entries_behind(entry: tuple[Path, str], *paths: Path) -> list[tuple[Path, str]]:
    """The roots and entries, other than `entry`, that symlinks in `paths` lead to or through; the
    final targets come last.

    Keeping a symlink means keeping its target and each symlink on the way there.
    """
    found: dict[tuple[str, str], tuple[Path, str]] = {}
    for way in (way for path in paths for way in ways(str(path.absolute()))):
        with contextlib.suppress(InvalidSettings):
            behind = locate(Path(way))
            key = os.path.realpath(behind[0]), behind[1]
            found.pop(key, None)
            found[key] = behind
    found.pop((os.path.realpath(entry[0]), entry[1]), None)
    return list(found.values())


def _below(text: str, root: Path) -> str:
    """`text`, relative to `root` if it is a path inside it."""
    path = os.path.abspath(text)
    return os.path.relpath(path, root) if is_inside(path, str(root)) else text


Choose: TypeAlias = Callable[[Path, str, Sequence[str]], str]
"""Chooses one of the entries with a label. Arguments: the root, the label, the entries' paths."""


def newest_entry(root: Path, label: str, paths: Sequence[str]) -> str:
    """The newest of the entries of `root` at `paths`. Raises `InvalidSettings` if ambiguous."""
    return newest(label, paths, lambda path: born_at(str(root / path)))


def find_entry(
    text: str,
    root: Path,
    roots: Sequence[Path] = (),
    elsewhere: Sequence[Path] = (),
    choose: Choose = newest_entry,
) -> tuple[Path, str]:
    """The root and the entry that a user means by `text`.

    `text` is a path, a path below a root (`debug/demo_1696348800`), or a name that only one entry
    has, in the project's `root`, in the configured `roots`, or in the roots `elsewhere`, for
    scratch of no project. It can also be a label (`demo`, `debug/demo`): then `choose` picks one of
    the entries in a category that have it, by default the newest. Raises `InvalidSettings` if
    nothing matches.
    """
    with contextlib.suppress(InvalidSettings):
        return locate(Path(text), roots)
    listed: list[tuple[Path, str]] = []
    others = set()
    for place in dict.fromkeys((root, *roots, *elsewhere)):
        if check_root(place):
            layout = layout_of(place, is_scratch=False) if place in roots else SCRATCH
            listed += [(place, item.path) for item in listing(place, Leases(place), layout)[0]]
            if layout.category:
                others.add(place)
    named = [one for one in listed if text in (one[1], one[1].rpartition("/")[2])]
    if not named:
        groups: dict[tuple[Path, str], list[str]] = {}
        for place, path in listed:
            if place not in others and labelled(_below(text, place), path):
                groups.setdefault((place, path.rpartition("/")[0]), []).append(path)
        if len(groups) == 1:
            (((place, _), paths),) = groups.items()
            return place, choose(place, text, paths)
        named = [(place, max(paths, key=stamp_of)) for (place, _), paths in groups.items()]
    if len(named) == 1:
        return named[0]
    if len({place for place, _ in named}) > 1:
        paths = [str(place / path) for place, path in named]
        raise InvalidSettings(f"{text} could be {' or '.join(paths)}; give the path")
    if named:
        paths = [path for _, path in named]
        raise InvalidSettings(f"{text} could be {' or '.join(paths)}; give the category too")
    raise InvalidSettings(
        f"{text or 'an empty path'} is not an entry of {root}; `temp-status` lists them"
    )
