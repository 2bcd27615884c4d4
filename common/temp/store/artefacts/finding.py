"""Finds the artefacts of a project by name or by neighbouring files; never what git tracks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from fnmatch import filter as filter_names
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

from ...core.layouts import PIPELINE, STORE, is_inside
from ...errors import TempError
from ..project.project import SCRATCH_NAMES
from ..project.tracked import Tracked
from ..settings.recorded_layout import layout_of
from ..shelf.manifest import MANIFEST
from ..system.environments import is_environment
from ..system.mounts import mounts_below
from .changes import Changes
from .made import why_unsure
from .patterns import matches, may_match_in
from .presets import PRESETS, Made, Preset, spell_made
from .work import NEVER_ENTERED, is_work_tree, what_else, work_in

_SCRATCH: Final = frozenset({*SCRATCH_NAMES, ".tmp-archive", STORE})
_INSTALLED: Final = ".dist-info"
_INSTALLED_IN: Final = frozenset({"site-packages", "dist-packages"})
_SOLUTION: Final = "*.sln*"  # of .NET
TAKES_UNSURE: Final = "--include-unsure takes it"


class Artefact(NamedTuple):
    """Something that a build made: `path` relative to the project, and the pattern that matches.

    `kept` says why it must stay, or is "". `made` is the row of the presets that matches, if any.
    """

    path: str
    pattern: str
    kept: str = ""
    made: Made | None = None

    @property
    def source(self) -> str:
        """The directory, relative to the project, of its sources, which contains its marker."""
        return "" if self.made is None else self.path.rpartition("/")[0]

    def is_built_from(self, directory: Path) -> bool:
        """Whether that, which is above its source, is a project of many modules of its kind."""
        names: list[str] = []
        with contextlib.suppress(OSError):
            names = os.listdir(directory)
        return self.made is not None and bool(
            self.made.marker(names) or filter_names(names, _SOLUTION)
        )


def find_artefacts(
    project: Path,
    patterns: Sequence[str],
    tracked: Tracked,
    roots: Iterable[Path] = (),
    archive: Path | None = None,
    *,
    include_unsure: bool = False,
    presets: Iterable[Preset] = (),
    projects: Iterable[Path] = (),
    changes: Changes | None = None,
) -> list[Artefact]:
    """The artefacts of `project`, sorted by path; `kept` marks those that must stay.

    An artefact must stay unless a tool certainly made it, a git ignore rule names it, or
    `include_unsure` is set.

    `patterns` are shell globs for names, or for paths below the project if they contain a `/`; one
    that ends with `/` matches only directories. The search does not enter other projects inside
    this one (in `projects` or not), other git work trees, virtual environments, `node_modules`,
    artefacts of other presets (unless one of the `patterns` is a path into them), scratch, mounted
    filesystems or symlinks. It also skips archived entries and the entries of roots (in `roots` or
    not). All other files are noted in `changes`.
    """
    mounts = mounts_below(str(project))
    own_roots = _lying_in(project, roots)
    archives = _lying_in(project, () if archive is None else (archive,))
    others = sorted(own_roots | archives)
    inner = _lying_in(project, projects)
    search = _Search(project, patterns, presets, mounts, own_roots, archives | inner, changes)
    found = []
    artefacts = list(search.found())
    tracked.ask_about(artefact.path for artefact in artefacts)
    for artefact in artefacts:
        path = artefact.path
        inside = tracked.inside(path)
        if inside is not None:
            kept = "git tracks it" if inside == path else f"git tracks {inside}"
        elif any(is_inside(point, path) for point in mounts):
            kept = "another filesystem is mounted in it"
        elif holds := next((other for other in others if is_inside(other, path)), ""):
            kept = f"{holds} is a root or the archive"
        elif holds := next((other for other in sorted(inner) if is_inside(other, path)), ""):
            kept = f"{holds} is a project of its own"
        else:
            kept = work_in(project, path, artefact.made)
            if not kept and not include_unsure:
                kept = _why_not(project, artefact, tracked.doubt_about(path))
        found.append(artefact._replace(kept=kept))
    return sorted(found, key=lambda artefact: artefact.path)


def why_kept_by_now(
    project: Path, artefact: Artefact, tracked: Tracked, *, include_unsure: bool = False
) -> str:
    """Why the artefact must stay according to git and its content now; "" if it may be removed."""
    inside, doubt = tracked.look_again(artefact.path)
    if inside:
        return f"git tracks {inside} by now"
    return work_in(project, artefact.path, artefact.made) or (
        "" if include_unsure else _why_not(project, artefact, doubt)
    )


def _why_not(project: Path, artefact: Artefact, doubt: str) -> str:
    """If there is a `doubt`, why the artefact may be hand-written; "" if it is not."""
    doubt = doubt or _in_package(project, artefact.path)
    unsure = why_unsure(project, artefact.path, artefact.made) if doubt else ""
    return f"{unsure}, and {doubt}; {TAKES_UNSURE}" if unsure else ""


def _in_package(project: Path, path: str) -> str:
    """Why a git ignore rule does not prove that a tool made the artefact: it is in a Python
    package, or looks like one of another language. A rule `build` also ignores a package
    `src/app/build`. "" if it is in none.
    """
    above, _, name = path.rpartition("/")
    # Tools build at the top level, and a project may itself be a package.
    if not above or name == _BYTECODE or not (project / path).is_dir():
        return ""
    if any(os.path.lexists(project / one / "__init__.py") for one in (path, above)):
        return "it is in a package of Python"
    with contextlib.suppress(OSError):
        held = os.listdir(project / path) if name in _PACKAGES_TOO else ()
        found = next((one for one in sorted(held) if _is_module(one)), "")
        return f"it contains {found}, like a package" if found else ""
    return ""


def _is_module(name: str) -> bool:
    """Whether a file called so is written by people where it lies."""
    return name.endswith(_MODULES) and not name.endswith(".d.ts")


_PACKAGES_TOO: Final = ("build", "dist")
_MODULES: Final = (
    *(".py", ".pyx", ".go", ".rs", ".java", ".kt", ".scala", ".cs", ".swift", ".ts", ".tsx"),
    *(".cc", ".cpp", ".cxx", ".rb", ".php", ".ex", ".exs", ".zig", ".lua", ".pm", ".pl"),
    *(".jl", ".R", ".ml", ".hs", ".vue", ".svelte", ".tf", ".sh"),
)
"""Sources of languages whose packages hold them directly, where build tools rarely write any."""

_BYTECODE: Final = "__pycache__"


def _lying_in(project: Path, places: Iterable[Path]) -> frozenset[str]:
    """The `places` that are in `project`, relative to it."""
    real = os.path.realpath(project)
    inside = [place for place in map(os.path.realpath, places) if is_inside(place, real)]
    return frozenset(os.path.relpath(place, real) for place in inside)


class _Search(NamedTuple):
    """A search for artefacts, with the places that it skips."""

    project: Path
    patterns: Sequence[str]
    presets: Iterable[Preset]
    mounts: frozenset[str]
    roots: frozenset[str]
    others: frozenset[str]
    """The archive and other projects, which are not part of this project."""
    changes: Changes | None

    def found(self) -> Iterator[Artefact]:
        """The artefacts, unsorted."""
        wanted = frozenset(made for preset in self.presets for made in preset.made)
        globs = (*self.patterns, *(one for preset in self.presets for one in preset.globs))
        waiting = [""]
        while waiting:
            relative = waiting.pop()
            with contextlib.suppress(OSError), os.scandir(self.project / relative) as listed:
                items = {item.name: item for item in listed}
                if os.path.basename(relative) in _INSTALLED_IN or (
                    relative and any(name.endswith(_INSTALLED) for name in items)
                ):
                    continue  # installed packages, for example in an unusual environment
                for path, item in self._part_of_project(relative, items):
                    is_directory = item.is_dir(follow_symlinks=False)
                    known = list(_made(item.path, items)) if is_directory else []
                    made = next((one for one in known if one in wanted), None)
                    if made is not None:
                        yield Artefact(path, spell_made(made, items), made=made)
                        continue
                    glob = None
                    if item.name not in NEVER_ENTERED:
                        glob = next(
                            (one for one in globs if matches(path, is_directory, one)), None
                        )
                    if glob is not None:
                        yield Artefact(path, glob)
                    elif not is_directory:
                        if self.changes is not None:
                            self.changes.note(relative, item)
                    elif self._is_to_enter(path, item):
                        if not known or may_match_in(path, globs):
                            waiting.append(path)
                    elif self.changes is not None and self._is_project(path, item):
                        self.changes.note_project(path, item.path)

    def _part_of_project(
        self, relative: str, items: dict[str, os.DirEntry[str]]
    ) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """The paths and items in a directory that are neither scratch nor archived."""
        layout = PIPELINE  # runs can be anywhere, and their names are unique
        if STORE in items or (relative or os.curdir) in self.roots:
            try:
                layout = layout_of(self.project / relative, is_scratch=False)
            except TempError:
                return
        for name, item in items.items():
            path = f"{relative}/{name}" if relative else name
            # A manifest beside an item shows that it was archived.
            if name in _SCRATCH or path in self.others or f"{name}{MANIFEST}" in items:
                continue
            if not layout.holds(name, is_directory=item.is_dir(follow_symlinks=False)):
                yield path, item

    def _is_project(self, path: str, item: os.DirEntry[str]) -> bool:
        is_known = item.name in NEVER_ENTERED or path in self.mounts or is_environment(item.path)
        return not is_known and item.is_dir(follow_symlinks=False)

    def _is_to_enter(self, path: str, item: os.DirEntry[str]) -> bool:
        # A bind mount may be a tracked directory under another name.
        return (
            item.name not in NEVER_ENTERED
            and path not in self.mounts
            and not (what_else(item.path) or is_work_tree(item.path))
        )


_EVERY: Final = tuple(made for preset in PRESETS.values() for made in preset.made)
_BY_NAME: Final[dict[str, tuple[Made, ...]]] = {
    name: tuple(made for made in _EVERY if name in made.names)
    for name in sorted({name for made in _EVERY for name in made.names})
}
_BY_GLOB: Final = tuple(
    (name, made) for name, all_of in _BY_NAME.items() if "*" in name for made in all_of
)


def _made(directory: str, beside: Collection[str]) -> Iterator[Made]:
    """The rows of all presets that match the directory, with those names `beside` it."""
    name = os.path.basename(directory)
    rows = (*_BY_NAME.get(name, ()), *(made for glob, made in _BY_GLOB if fnmatchcase(name, glob)))
    for made in rows:
        if (not made.beside or made.marker(beside)) and all(
            os.path.lexists(os.path.join(directory, part)) for part in made.holds
        ):
            yield made
