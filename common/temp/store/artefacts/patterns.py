"""Matches the globs of artefacts from the settings, and checks that they match no source."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from ...errors import InvalidSettings
from ..project.project import MARKERS
from ..project.tracked import REPOSITORIES, Tracked
from ..settings.settings import DEFAULT_ARTEFACTS

_SOURCE_DIRECTORIES: Final = frozenset({"src", "test", "tests"})
_SOURCES: Final = frozenset({*REPOSITORIES, *MARKERS, "README.md", "README.rst", "LICENSE"})
_USUAL_SOURCES: Final = (
    *("CHANGELOG*", "CONTRIBUTING*", "COPYING*", "Dockerfile*", "LICEN[CS]E*", "Makefile*"),
    *("README*", "*.py", "*.toml", "*.cfg", "*.in", "*.md", "*.rst", "requirements*"),
    *("docs", "scripts", "tools", "notebooks", ".github", ".gitignore", ".gitlab-ci.yml"),
)
"""Names at the top of a project that are source if git cannot tell; packages are source too."""

_PROBES: Final = ("source", "source.py")


def check_patterns(project: Path, patterns: Iterable[str], tracked: Tracked) -> None:
    """Raise `InvalidSettings` if a configured pattern matches the project's own source."""
    usual = {pattern.strip("/") for pattern in DEFAULT_ARTEFACTS}
    sources = {*_SOURCES, *_SOURCE_DIRECTORIES, *_top_level_sources(project, tracked)}
    for pattern in patterns:
        if pattern.strip("/") in usual:
            continue  # tracked files in the usual artefacts stay anyway
        for source in sorted(sources):
            is_directory = source in _SOURCE_DIRECTORIES or os.path.isdir(project / source)
            below = [f"{source}/{probe}" for probe in _PROBES] if is_directory else []
            if matches(source, is_directory, pattern) or (
                "/" in pattern.strip("/") and any(matches(path, True, pattern) for path in below)
            ):
                raise InvalidSettings(
                    f"{project}: artefacts: {pattern!r} matches {source}, which is source of this "
                    "project; name only what a build makes"
                )


def _top_level_sources(project: Path, tracked: Tracked) -> set[str]:
    """The names at the top of `project` that git tracks or, if unknown, that look like source."""
    if not tracked.doubt:
        return tracked.top_level()
    found = tracked.top_level()
    with contextlib.suppress(OSError), os.scandir(project) as items:
        for item in items:
            is_package = os.path.lexists(os.path.join(item.path, "__init__.py"))
            if is_package or any(fnmatchcase(item.name, glob) for glob in _USUAL_SOURCES):
                found.add(item.name)
    return found


def may_match_in(directory: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns is a path that leads into `directory`."""
    parts = directory.split("/")
    ways = (pattern.strip("/").split("/") for pattern in patterns)
    return any(len(way) > len(parts) and all(map(fnmatchcase, parts, way)) for way in ways)


def matches(path: str, is_directory: bool, pattern: str) -> bool:
    """Whether a pattern matches `path`; see `find_artefacts`."""
    if pattern.endswith("/"):
        return is_directory and matches(path, True, pattern.rstrip("/"))
    if "/" in pattern:
        return fnmatchcase(path, pattern.lstrip("/"))
    return fnmatchcase(path.rpartition("/")[2], pattern)
