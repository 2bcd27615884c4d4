"""Build artefacts of one project: found by name, never what git tracks, removed in place."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

from ...core.layouts import HISTORY, PIPELINE, STORE, STORE_PARTS, is_inside
from ...errors import InvalidSettings, StorageError, TempError, reason_of
from ..project.project import MARKERS, SCRATCH_NAMES, open_root
from ..project.tracked import REPOSITORIES, Tracked
from ..root.guard import check_store
from ..root.recorded_layout import layout_of
from ..root.settings import DEFAULT_ARTEFACTS
from ..shelf.manifest import MANIFEST
from ..system import at
from ..system.at import ROOT_FLAGS
from ..system.environments import is_environment
from ..system.locks import is_locked
from ..system.mounts import mounts_below
from ..system.opening import opened, opened_below, opened_real
from ..trees.inside import measure_at
from ..trees.measured import Measured
from ..trees.removal import remove_at
from ..trees.removed import Removed
from .made import why_unsure

_INSTALLED: Final = ".dist-info"
_NEVER_ENTERED: Final = frozenset({*REPOSITORIES, ".venv", "node_modules"})
_HOLDS_WORK: Final = _NEVER_ENTERED | {STORE}
_SCRATCH: Final = frozenset({*SCRATCH_NAMES, ".tmp-archive", STORE})
_EVERYWHERE: Final = frozenset({"CVS", ".svn"})
_BARE: Final = frozenset({"HEAD", "objects", "refs"})
_SOURCE_DIRECTORIES: Final = frozenset({"src", "test", "tests"})
_SOURCES: Final = frozenset({*REPOSITORIES, *MARKERS, "README.md", "README.rst", "LICENSE"})
_USUAL_SOURCES: Final = (
    *("CHANGELOG*", "CONTRIBUTING*", "COPYING*", "Dockerfile*", "LICEN[CS]E*", "Makefile*"),
    *("README*", "*.py", "*.toml", "*.cfg", "*.in", "*.md", "*.rst", "requirements*"),
    *("docs", "scripts", "tools", "notebooks", ".github", ".gitignore", ".gitlab-ci.yml"),
)
"""Names that are source directly in a project where git cannot tell; packages are too."""

_PROBES: Final = ("source", "source.py")
TAKES_UNSURE: Final = "--include-unsure takes it"


class Artefact(NamedTuple):
    """Something that a build made: `path` relative to the project, and the pattern that matches.

    `kept` says why it must stay, or is "".
    """

    path: str
    pattern: str
    kept: str = ""


def find_artefacts(
    project: Path,
    patterns: Sequence[str],
    tracked: Tracked,
    roots: Iterable[Path] = (),
    archive: Path | None = None,
    *,
    include_unsure: bool = False,
) -> list[Artefact]:
    """The artefacts of `project`, sorted by path; `kept` marks those that must stay.

    Where no version control tells what is hand-written, and where git sees something new that it
    does not ignore, only what a tool certainly made goes, but for `include_unsure`.

    `patterns` are shell globs for names, or for paths below the project if they contain a `/`; one
    that ends with `/` is for directories only. The search does not enter other projects inside this
    one, other git work trees, virtual environments, `node_modules`, scratch, mounted filesystems or
    symlinks. It also skips the entries of roots, whether these are among `roots` or not, and what
    was archived.
    """
    mounts = mounts_below(str(project))
    own_roots = _lying_in(project, roots)
    archives = _lying_in(project, () if archive is None else (archive,))
    others = sorted(own_roots | archives)
    found = []
    for path, pattern in _matching(project, patterns, mounts, own_roots, archives):
        inside = tracked.inside(path)
        if inside is not None:
            kept = "git tracks it" if inside == path else f"git tracks {inside}"
        elif any(point == path or point.startswith(path + "/") for point in mounts):
            kept = "another filesystem is mounted in it"
        elif holds := next((other for other in others if is_inside(other, path)), ""):
            kept = f"{holds} is a root or the archive"
        else:
            kept = work_in(project / path)
            if not kept and not include_unsure:
                kept = _why_not(project, path, tracked.doubt or tracked.news_in(path))
        found.append(Artefact(path, pattern, kept))
    return sorted(found, key=lambda artefact: artefact.path)


def why_kept_by_now(
    project: Path, path: str, tracked: Tracked, *, include_unsure: bool = False
) -> str:
    """Why the artefact must stay by what git says now, and what lies in it; "" if it may go."""
    inside, news = tracked.look_again(path)
    if inside:
        return f"git tracks {inside} by now"
    if _is_locked(project, path):
        return "a process holds a lock (flock) on it"
    return work_in(project / path) or (
        "" if include_unsure else _why_not(project, path, tracked.doubt or news)
    )


def _is_locked(project: Path, path: str) -> bool:
    place = project / path
    with contextlib.suppress(OSError):
        if place.is_symlink() or not (place.is_dir() or place.is_file()):
            return False  # to open a FIFO or a device may do something
        with opened(place, at.ANY_FLAGS) as descriptor:
            return is_locked(project, descriptor)
    return False


def _why_not(project: Path, path: str, doubt: str) -> str:
    """Why it may be hand-written, if there is a `doubt`; "" if a tool certainly made it."""
    unsure = why_unsure(project, path) if doubt else ""
    return f"{unsure}, and {doubt}; {TAKES_UNSURE}" if unsure else ""


def check_patterns(project: Path, patterns: Iterable[str], tracked: Tracked) -> None:
    """Raise `InvalidSettings` if a pattern that was configured matches the project's own source."""
    usual = {pattern.strip("/") for pattern in DEFAULT_ARTEFACTS}
    sources = {*_SOURCES, *_SOURCE_DIRECTORIES, *_top_level_sources(project, tracked)}
    for pattern in patterns:
        if pattern.strip("/") in usual:
            continue  # tracked files in these stay anyway
        for source in sorted(sources):
            is_directory = source in _SOURCE_DIRECTORIES or os.path.isdir(project / source)
            below = [f"{source}/{probe}" for probe in _PROBES] if is_directory else []
            if _matches(source, is_directory, pattern) or (
                "/" in pattern.strip("/") and any(_matches(path, True, pattern) for path in below)
            ):
                raise InvalidSettings(
                    f"{project}: artefacts: {pattern!r} matches {source}, which is source of this "
                    "project; name only what a build makes"
                )


def _top_level_sources(project: Path, tracked: Tracked) -> set[str]:
    """The source directly in `project`: what git tracks, or if unknown, what looks like source."""
    if not tracked.doubt:
        return tracked.top_level()
    found = tracked.top_level()
    with contextlib.suppress(OSError), os.scandir(project) as items:
        for item in items:
            is_package = os.path.lexists(os.path.join(item.path, "__init__.py"))
            if is_package or any(fnmatchcase(item.name, glob) for glob in _USUAL_SOURCES):
                found.add(item.name)
    return found


def _lying_in(project: Path, places: Iterable[Path]) -> frozenset[str]:
    """Those of `places` that are in `project`, relative to it."""
    real = os.path.realpath(project)
    inside = [place for place in map(os.path.realpath, places) if is_inside(place, real)]
    return frozenset(os.path.relpath(place, real) for place in inside)


def _matching(
    project: Path,
    patterns: Sequence[str],
    mounts: frozenset[str],
    roots: frozenset[str],
    archives: frozenset[str],
) -> Iterator[tuple[str, str]]:
    waiting = [""]
    while waiting:
        relative = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(project / relative) as listed:
            items = {item.name: item for item in listed}
            if relative and any(name.endswith(_INSTALLED) for name in items):
                continue  # packages that are installed, as in an environment of another kind
            layout = PIPELINE  # runs can be anywhere, and their names are unique
            if STORE in items or (relative or os.curdir) in roots:
                try:
                    layout = layout_of(project / relative, is_scratch=False)
                except TempError:
                    continue
            for item in items.values():
                if item.name in _NEVER_ENTERED or item.name in _SCRATCH:
                    continue
                path = f"{relative}/{item.name}" if relative else item.name
                if path in archives or f"{item.name}{MANIFEST}" in items:
                    continue  # it has a manifest beside it, so it was archived
                is_directory = item.is_dir(follow_symlinks=False)
                if layout.holds(item.name, is_directory=is_directory):
                    continue
                pattern = next((one for one in patterns if _matches(path, is_directory, one)), None)
                if pattern is not None:
                    yield path, pattern
                # What is mounted may be a tracked directory under another name.
                elif (
                    is_directory
                    and path not in mounts
                    and not (_what_else(item.path) or _is_work_tree(item.path))
                ):
                    waiting.append(path)


def _matches(path: str, is_directory: bool, pattern: str) -> bool:
    if pattern.endswith("/"):
        return is_directory and _matches(path, True, pattern.rstrip("/"))
    if "/" in pattern:
        return fnmatchcase(path, pattern.lstrip("/"))
    return fnmatchcase(path.rpartition("/")[2], pattern)


def _what_else(directory: str) -> str:
    """Why `directory` is not a part of the project around it; "" if it is."""
    names = {
        name for name in (*MARKERS, "__init__.py") if os.path.lexists(os.path.join(directory, name))
    }
    if is_environment(directory):
        return "it is a virtual environment"
    if "__init__.py" in names:
        names.discard("tasks.py")  # may be a module of a package (as with Celery), not invoke's
    if names & set(MARKERS):
        return "it is a project of its own"
    if all(os.path.lexists(os.path.join(directory, name)) for name in _BARE):
        return "it is a bare repository"
    return ""


def _is_work_tree(directory: str) -> bool:
    """Whether a work tree begins there, which no git around it knows anything of."""
    return any(
        os.path.lexists(os.path.join(directory, mark))
        # Of these there is one in every directory of a work tree.
        and not (mark in _EVERYWHERE and os.path.lexists(os.path.join(directory, "..", mark)))
        for mark in REPOSITORIES
    )


def work_in(artefact: Path) -> str:
    """Why nothing in the artefact may go: it may hold somebody's work; "" if it holds none."""
    if artefact.is_symlink() or not artefact.is_dir():
        return ""
    if what := _what_else(str(artefact)):
        return what
    waiting = [str(artefact)]
    while waiting:
        directory = waiting.pop()
        try:
            with os.scandir(directory) as items:
                names = set()
                for item in items:
                    names.add(item.name)
                    if item.name in _HOLDS_WORK or item.name.endswith((MANIFEST, ".fossil")):
                        return f"it holds {os.path.relpath(item.path, artefact)}"
                    if item.is_dir(follow_symlinks=False):
                        waiting.append(item.path)
                if names >= _BARE:
                    return f"it holds the bare repository {os.path.relpath(directory, artefact)}"
        except OSError as error:
            return f"{os.path.relpath(directory, artefact)} in it: {reason_of(error)}"
    return ""


@contextlib.contextmanager
def opened_project(project: Path) -> Iterator[int]:
    """The open directory `project`, a path without links as it was when the command began.

    Anybody who can write above it can replace it by a link or another directory meanwhile, so
    everything to delete is looked up in this open directory. Raises `StorageError`.
    """
    with contextlib.ExitStack() as stack:
        try:
            top = stack.enter_context(opened_real(project))
        except OSError as error:
            raise StorageError.of(f"cannot open {project}", error) from error
        yield top


def measure_artefact(top: int, path: str) -> Measured:
    """How much the artefact at `path` below the open directory `top` is; nothing if it is gone or
    cannot be read.
    """
    try:
        with _below(top, path) as (parent, name):
            return measure_at(parent, name)
    except OSError:
        return Measured()


def remove_artefact(top: int, path: str) -> Removed:
    """Delete the artefact at `path` below the open directory `top`; the result lists what could not
    be deleted.

    It is deleted in place, without a claim: a half-deleted `build` still matches, so the next
    `clean` finishes it, or lists it if the rest no longer shows what made it.
    """
    try:
        with _below(top, path) as (parent, name):
            return remove_at(parent, name)
    except FileNotFoundError:
        return Removed()
    except OSError as error:
        is_mounted = error.errno == errno.EXDEV
        why = "another filesystem is mounted on the way to it" if is_mounted else reason_of(error)
        return Removed(failures=[("", why)])


def drop_empty_root(root: Path, categories: Iterable[str]) -> None:
    """Remove an old root that was cleaned, if it is empty: its categories, the store that the sweep
    made in it (including its history, which is not shown anywhere), and the root itself.

    An untrusted root, for example behind a link that git tracks, is left as it is.
    """
    own = [f"{STORE}/{name}" for name in STORE_PARTS]
    with contextlib.suppress(OSError, TempError), contextlib.ExitStack() as stack:
        above = stack.enter_context(opened(root.parent, ROOT_FLAGS))
        top = open_root(root)
        stack.callback(at.close, top)
        check_store(root)
        with contextlib.suppress(OSError), _below(top, f"{STORE}/{HISTORY}") as (store, name):
            at.unlink(name, dir_fd=store)
        for directory in (*categories, *own, STORE):
            with contextlib.suppress(OSError), _below(top, directory) as (parent, name):
                at.rmdir(name, dir_fd=parent)
        seen, ours = at.stat(root.name, dir_fd=above, follow_symlinks=False), at.fstat(top)
        if (seen.st_dev, seen.st_ino) == (ours.st_dev, ours.st_ino):
            at.rmdir(root.name, dir_fd=above)


@contextlib.contextmanager
def _below(top: int, path: str) -> Iterator[tuple[int, str]]:
    """The open directory of `path` below the open `top`, and its name there. No part of the way
    may be a link or, since the search, a mount point.
    """
    *above, name = path.split("/")
    with opened_below(top, *above, unmounted=True) as parent:
        yield parent, name
