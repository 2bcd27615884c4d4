"""Lists a root: its entries and categories, not yet measured, and what was claimed in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from ...core.entry import Leftover, Problem
from ...core.labels import labelled, newest, stamp_of
from ...core.layouts import (
    BATCH,
    CATEGORY_MARK,
    CONDEMNED,
    HELD,
    HOLDING,
    KNOWN_CATEGORIES,
    LAYOUTS,
    SCRATCH,
    STORE,
    UNCATEGORIZED,
    UNDO,
    Layout,
    is_inside,
    is_root_file,
    read_name,
)
from ...core.named_tuple import NamedTuple
from ...errors import InvalidSettings, StorageError, TempError, reason_of
from ..project.links import ways
from ..project.project import check_root, root_of, user_root
from ..system import at
from ..system.at import ANY_FLAGS, DIRECTORY_FLAGS
from ..system.locks import is_locked
from ..system.opening import opened
from ..trees.inside import measure_at
from ..trees.measured import Measured
from .arrivals import is_remainder
from .leases import Leases
from .recorded_layout import layout_of


class Found(NamedTuple):
    """An entry that was listed but not measured; `path` is relative to the root."""

    path: str
    category: str


def list_entries(root: Path, category: str | None = None) -> list[Path]:
    """The absolute paths of the entries of `root`, or of that category, sorted; none if there is no
    such root.
    """
    if not check_root(root):
        return []
    found, problems = listing(root, Leases(root))
    for problem in problems:
        raise StorageError(0, f"cannot list {root / problem.path}: {problem.what}")
    return [root / item.path for item in found if category in (None, item.category)]


def listing(
    root: Path, leases: Leases, layout: Layout = SCRATCH
) -> tuple[list[Found], list[Problem]]:
    """The entries of `root`, sorted by path: those in categories, and everything else in the root.

    With another `layout` than that of `.tmp`, the entries of that layout. A directory is a category
    if its name is a known one, it has the marker file, or a record says so; also if it has settings
    of its own, or everything in it is stamped like an entry, unless that is what a clean kept of
    one. Raises `StorageError` if the root itself cannot be listed.
    """
    try:
        with at.scandir(root) as items:
            tops = sorted((item for item in items if not is_root_file(item.name)), key=_name)
    except OSError as error:
        raise StorageError.of(f"cannot list {root}", error) from error
    if layout.category:
        return [
            Found(top.name, layout.category)
            for top in tops
            if layout.holds(top.name, is_directory=top.is_dir(follow_symlinks=False))
        ], []
    recorded: set[str] | None = None
    configured: frozenset[str] | None = None
    found: list[Found] = []
    problems: list[Problem] = []
    for top in tops:
        name = top.name
        if name.startswith(HELD):
            continue
        children: list[str] | None = None
        if not top.is_symlink() and top.is_dir(follow_symlinks=False):
            if recorded is None:
                leases.refresh()
                recorded = leases.recorded_categories()
            known = is_certain_category(Path(top.path), recorded)
            try:
                if known or read_name(name)[1] is None:
                    children = _children_of_category(top.path, known)
                if children is None:
                    configured = _configured(root) if configured is None else configured
                    if name in configured:
                        children = _children_of_category(top.path, True)
                if children is not None and not known and is_remainder(root, name):
                    children = None
            except FileNotFoundError:
                continue
            except OSError as error:
                if known:
                    problems.append(Problem(name, reason_of(error)))
                    continue
        if children is None:
            found.append(Found(name, UNCATEGORIZED))
        else:
            found += [Found(f"{name}/{child}", name) for child in children]
    return found, problems


def _configured(root: Path) -> frozenset[str]:
    """The categories that have settings of their own, but for those of other roots."""
    from .loading import configured_categories

    with contextlib.suppress(TempError, OSError):  # wrong settings are reported where they are used
        return configured_categories(root) - {layout.category for layout in LAYOUTS.values()}
    return frozenset()


def is_certain_category(path: Path, recorded: Collection[str]) -> bool:
    """Whether the directory at `path` in a root is a category whatever it holds; `recorded` are the
    names of those that records tell of.
    """
    is_named = path.name in KNOWN_CATEGORIES or path.name in recorded
    return is_named or os.path.lexists(path / CATEGORY_MARK)


def holds_only_stamped(path: Path) -> bool:
    """Whether all that lies in the directory is stamped as entries are, and it is not empty."""
    try:
        return _children_of_category(str(path), False) is not None
    except OSError:
        return False


def _name(item: os.DirEntry[str]) -> str:
    return item.name


def _children_of_category(path: str, known: bool) -> list[str] | None:
    """The sorted names in the category at `path`; `None` if it is an entry itself."""
    # It may be an entry: it is opened as a scan opens entries, which does not count as use.
    descriptor = at.open(path, DIRECTORY_FLAGS)
    try:
        with at.scandir(descriptor) as items:
            children = {item.name: item.is_dir(follow_symlinks=False) for item in items}
    finally:
        at.close(descriptor)
    children.pop(CATEGORY_MARK, None)
    children.pop(STORE, None)  # of a category that is itself a root
    stamped = all(
        is_directory and read_name(name)[1] is not None for name, is_directory in children.items()
    )
    return sorted(children) if known or (children and stamped) else None


def locate(path: Path, roots: Sequence[Path] = ()) -> tuple[Path, str]:
    """The nearest root in which `path` is in an entry, and that entry (relative to the root).

    A project in an entry may be a root itself, as one of pipeline runs, and most of what is in it
    is in none of its entries. `roots` are the configured ones. Raises `InvalidSettings` if `path`
    is in no entry of any root.
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
    """The roots and the other entries that one of `paths` leads to, or through, by links; what it
    leads to comes last.

    Who keeps a link wants what it leads to, and each link on the way there.
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
    """`text`, relative to `root` if it is a path in there."""
    path = os.path.abspath(text)
    return os.path.relpath(path, root) if is_inside(path, str(root)) else text


Choose: TypeAlias = Callable[[Path, str, Sequence[str]], str]
"""Chooses one of the entries of a root that have a label: the root, the label, their paths."""


def find_entry(
    text: str,
    root: Path,
    roots: Sequence[Path] = (),
    elsewhere: Sequence[Path] = (),
    choose: Choose = lambda _, text, paths: newest(text, paths),
) -> tuple[Path, str]:
    """The root and the entry that a user means by `text`.

    `text` is a path, a path below a root (`debug/demo_1696348800`), or a name that only one entry
    has: in the project's `root`, in one of the configured `roots`, or in the roots for scratch of
    no project. Or it is a label (`demo`, `debug/demo`): then the entry is the one of a category
    that `choose` returns, the newest by default. Raises `InvalidSettings` if nothing matches.
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
    raise InvalidSettings(f"{text} is not an entry of {root}; `temp-status` lists them")


def holding_places(root: Path) -> Iterator[tuple[str, str]]:
    """Where claimed entries of `root` may be: directories, and the prefix of their names."""
    yield os.path.join(root, STORE, HOLDING), ""
    yield str(root), HELD


def list_leftovers(root: Path) -> list[Leftover]:
    """What is claimed in the holding area, and whether a running sweep is deleting it."""
    found: list[Leftover] = []
    for directory, prefix in holding_places(root):
        try:
            names = sorted(name for name in os.listdir(directory) if name.startswith(prefix))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError.of(f"cannot list {directory}", error) from error
        found += [_leftover(root, os.path.join(directory, name)) for name in names]
    return found


def _leftover(root: Path, path: str) -> Leftover:
    name = os.path.basename(path)
    entries = 1
    if name.startswith((BATCH, CONDEMNED)):
        with contextlib.suppress(OSError):
            entries = len(os.listdir(path))
    return Leftover(name, _is_being_freed(root, path), entries)


def measure_leftovers(root: Path) -> tuple[list[Measured], list[Problem]]:
    """How much is claimed in `root` or in its undo area, whether it is being freed now or not; and
    the problems that hid some of it.
    """
    found: list[Measured] = []
    problems: list[Problem] = []
    for directory, prefix in (*holding_places(root), *holding_places(root / STORE / UNDO)):
        try:
            names = [name for name in os.listdir(directory) if name.startswith(prefix)]
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(Problem(os.path.relpath(directory, root), reason_of(error)))
            continue
        for name in names:
            path = os.path.join(directory, name)
            below = os.path.relpath(path, root)
            try:
                measured = measure_at(None, path)
            except FileNotFoundError:
                continue  # it is being freed
            except OSError as error:
                problems.append(Problem(below, reason_of(error)))
                continue
            found.append(measured)
            problems += [Problem(f"{below}/{where}", what) for where, what in measured.problems]
    return found, problems


def _is_being_freed(root: Path, path: str) -> bool:
    with contextlib.suppress(OSError), opened(path, ANY_FLAGS) as descriptor:
        return is_locked(root, descriptor)
    return False
