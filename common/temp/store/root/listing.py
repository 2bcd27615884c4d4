"""Lists the entries and categories of a root, not yet measured, and the claimed entries in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from ...core.entry import Leftover, Problem
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
    Layout,
    is_root_file,
    read_name,
)
from ...core.named_tuple import NamedTuple
from ...errors import StorageError, TempError, reason_of
from ..project.project import check_root
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.locks import is_locked_at
from .arrivals import is_remainder
from .leases import Leases


class Found(NamedTuple):
    """An entry that was listed but not measured; `path` is relative to the root."""

    path: str
    category: str


def list_entries(root: Path, category: str | None = None) -> list[Path]:
    """The sorted absolute paths of the entries of `root`, or of that category; empty if `root` does
    not exist.
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

    With a `layout` other than that of `.tmp`, the entries of that layout. A directory is a category
    if its name is a known one, it has the marker file, or a record says so. It also is one if it
    has settings of its own, or if everything in it is stamped like an entry, unless it holds only
    what a clean kept of an entry. Raises `StorageError` if the root itself cannot be listed.
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
    """The categories that have settings of their own, except those of other layouts."""
    from ..settings.loading import configured_categories

    with contextlib.suppress(TempError, OSError):  # wrong settings are reported where they are used
        return configured_categories(root) - {layout.category for layout in LAYOUTS.values()}
    return frozenset()


def is_certain_category(path: Path, recorded: Collection[str]) -> bool:
    """Whether the directory at `path` in a root is a category, whatever it holds; `recorded` are
    the names of the recorded categories.
    """
    is_named = path.name in KNOWN_CATEGORIES or path.name in recorded
    return is_named or os.path.lexists(path / CATEGORY_MARK)


def holds_only_stamped(path: Path) -> bool:
    """Whether the directory is not empty, and everything in it is stamped like an entry."""
    try:
        return _children_of_category(str(path), False) is not None
    except OSError:
        return False


def _name(item: os.DirEntry[str]) -> str:
    return item.name


def _children_of_category(path: str, known: bool) -> list[str] | None:
    """The sorted names in the category at `path`; `None` if it is an entry itself."""
    # It may be an entry, so open it as a scan opens entries, which does not count as use.
    descriptor = at.open(path, DIRECTORY_FLAGS)
    try:
        with at.scandir(descriptor) as items:
            children = {item.name: item.is_dir(follow_symlinks=False) for item in items}
    finally:
        at.close(descriptor)
    children.pop(CATEGORY_MARK, None)
    children.pop(STORE, None)  # a category may itself be a root
    stamped = all(
        is_directory and read_name(name)[1] is not None for name, is_directory in children.items()
    )
    return sorted(children) if known or (children and stamped) else None


def holding_places(root: Path) -> Iterator[tuple[str, str]]:
    """The directories that may hold claimed entries of `root`, each with the prefix of names."""
    yield os.path.join(root, STORE, HOLDING), ""
    yield str(root), HELD


def list_leftovers(root: Path) -> list[Leftover]:
    """The leftovers in the holding area, each with whether a running sweep is deleting it."""
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


def _is_being_freed(root: Path, path: str) -> bool:
    with contextlib.suppress(OSError):
        return is_locked_at(root, path)
    return False
