"""Judges by its content whether a tool certainly made an artefact, if git cannot tell."""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from ...errors import reason_of
from ..system.at import PLAIN_FLAGS
from .presets import CACHE_TAG, MODULES, NPM_LIST, PNPM_LIST, Made
from .releases import has_metadata, project_of

_CACHE_SIGNATURE: Final = b"Signature: 8a477f597d28d172789f06886806bc55"
_MOST_READ: Final = 4 << 20
"""The most bytes read of a file; tools do not write larger ones."""

_LARGEST_LOCK: Final = 64 << 20
"""The most bytes read of npm's list of modules."""

_PYC: Final = re.compile(r"(?P<stem>.+?)\.[a-z]+-?\d+[\w.-]*\.pyc(\.\d+)?")
_EGG_INFO: Final = re.compile(
    r"PKG-INFO|SOURCES\.txt|dependency_links\.txt|requires\.txt|top_level\.txt|entry_points\.txt"
    r"|(not-)?zip-safe|namespace_packages\.txt|native_libs\.txt|eager_resources\.txt|depends\.txt"
    r"|scm_(file_list|version)\.json|pbr\.json"
)
_COMPILED: Final = frozenset({".so", ".pyd", ".pyc"})
_INTERMEDIATE: Final = _COMPILED | {".o", ".obj", ".d", ".lib", ".exp"}
_REPORT: Final = re.compile(
    r"style(_cb_\w+)?\.css|coverage_html(_cb_\w+)?\.js|jquery[\w.-]*\.js|status\.json"
    r"|(keybd|favicon)\w*\.(png|ico)|\.gitignore"
)
_REPORT_PAGE: Final = b"coverage.py v"
_SOURCE: Final = frozenset(
    {".py", ".pyi", ".pyx", ".ipynb", ".c", ".cc", ".cpp", ".h", ".hpp", ".rs", ".go", ".java"}
    | {".sh", ".sql", ".md", ".rst", ".tex", ".toml"}
)


class _Unsure(Exception):
    """Something was not made by a known tool; the text names it."""


def why_unsure(project: Path, path: str, made: Made | None = None) -> str:
    """Why the artefact at `path` may be hand-written; "" if a tool certainly made it.

    A name that is not in the table comes from the settings, which are trusted unless the artefact
    holds source. With `made`, it is judged by what the tool of that preset puts there.
    """
    artefact = project / path
    proof = next(
        (proof for glob, proof in _PROOFS if fnmatchcase(artefact.name, glob)), _configured
    )
    try:
        if artefact.is_symlink():
            return "it is a symlink"
        is_cache = artefact.is_dir() and _is_cache(artefact)
        if made is not None and (made.only or not is_cache):  # people work in tagged environments
            _of_preset(artefact, made)
        elif is_cache:
            return ""
        elif not artefact.is_dir() or next(_all_files(artefact), ""):
            proof(artefact)
    except _Unsure as unsure:
        return str(unsure)
    except OSError as error:
        return reason_of(error)
    return ""


def _bytecode(artefact: Path) -> None:
    """Check, by source files or headers, that a `__pycache__` has only compiled modules."""
    for name in _plain_files(artefact):
        match = _PYC.fullmatch(name)
        has_source = match and (artefact.parent / f"{match['stem']}.py").is_file()
        if not has_source and not (".pyc" in name and _head(artefact / name, 4)[2:] == b"\r\n"):
            raise _Unsure(f"{name} in it is not a compiled module")


def _of_shape(paths: str) -> Callable[[Path], None]:
    """A check that every file below matches the pattern `paths`, for a cache without a tag: an old
    one, or one whose tag a killed clean has already deleted.
    """

    def proof(artefact: Path) -> None:
        for path in _all_files(artefact):
            if not re.fullmatch(rf"\.gitignore|{paths}", path):
                raise _Unsure(f"{path} in it is not from a known tool")

    return proof


def _egg_info(artefact: Path) -> None:
    """Check for an egg-info directory of setuptools, or the single file of distutils."""
    told = artefact / "PKG-INFO" if artefact.is_dir() else artefact
    if not _head(told, 17).startswith(b"Metadata-Version:"):
        raise _Unsure("it holds no package metadata")
    if artefact.is_dir():
        for name in _plain_files(artefact):
            if not _EGG_INFO.fullmatch(name):
                raise _Unsure(f"{name} in it is not from setuptools")
        _sources(artefact)


def _sources(egg_info: Path) -> list[str]:
    listed = _text(egg_info / "SOURCES.txt")
    if not listed:
        raise _Unsure("it holds no SOURCES.txt")
    return listed.splitlines()


def _build(artefact: Path) -> None:
    """Check that setuptools built it from the package whose egg-info is beside it."""
    known: dict[str, set[str]] = {}
    for egg_info in _egg_infos(artefact.parent):
        packages = tuple(_text(egg_info / "top_level.txt").split())
        for line in _sources(egg_info):
            parts = line.split("/")
            for index, part in enumerate(parts):
                if part.removesuffix(".py") in packages:
                    known.setdefault("/".join(parts[index:]), set()).add(line)
    if not known:
        raise _Unsure("no egg-info beside it says what made it")
    _only(artefact, r"(lib|bdist|temp)([.-].+)?")
    for path in _all_files(artefact):
        kind, _, below = path.partition("/")
        is_copied = kind.startswith("lib")
        sources = known.get(below, ()) if is_copied else ()
        if not sources:
            if os.path.splitext(path)[1] in (_COMPILED if is_copied else _INTERMEDIATE):
                continue
            raise _Unsure(f"{path} in it belongs to no source file")
        if not any(_is_same(artefact / path, artefact.parent / source) for source in sources):
            raise _Unsure(f"{path} in it is not the same as its source, or that is gone")


def _dist(artefact: Path) -> None:
    """Check that it holds only wheels and source distributions of its project."""
    names = _names(artefact.parent)
    for name in _plain_files(artefact):
        if name == ".gitignore" and _text(artefact / name).strip() == "*":
            continue
        released = project_of(name)
        if not released or _normal(released) not in names or not has_metadata(artefact / name):
            raise _Unsure(f"{name} in it is not a release of this project")


def _coverage_data(artefact: Path) -> None:
    head = _head(artefact, 1 << 16)
    is_database = head.startswith(b"SQLite format 3\0") and b"coverage_schema" in head
    if not is_database and not head.startswith(b"!coverage.py: This is a private format"):
        raise _Unsure("it is not coverage data")


def _coverage_report(artefact: Path) -> None:
    if b"coverage.py" not in _head(artefact / ".gitignore", 100):
        raise _Unsure("it is not a coverage report")
    for name in _plain_files(artefact):
        is_page = name.endswith(".html") and _REPORT_PAGE in _head(artefact / name, _MOST_READ)
        if not is_page and not _REPORT.fullmatch(name):
            raise _Unsure(f"{name} in it is not part of a report")


def _of_preset(artefact: Path, made: Made) -> None:
    """Check that its content is what its tool leaves, according to the row of the presets."""
    names = sorted(os.listdir(artefact))
    for name in names if made.only else ():
        if not any(fnmatchcase(name, glob) for glob in (*made.only, CACHE_TAG)):
            raise _Unsure(f"{name} in it is not from a known tool")
    if MODULES in made.names:
        _modules(artefact, names)
    elif made.each:
        for name in names:
            if not (artefact / name / made.each).is_file():
                raise _Unsure(f"{name} in it was not fetched")
    elif not (made.shown_by or made.only):
        raise _Unsure("nothing tells which files in it a tool made")
    elif made.shown_by and not any(True for glob in made.shown_by for _ in artefact.glob(glob)):
        raise _Unsure("nothing in it shows what made it")
    if not names:
        raise _Unsure("nothing is in it")


def _modules(artefact: Path, names: list[str]) -> None:
    """Check that npm lists each of the modules, or that all are symlinks, as pnpm makes them."""
    modules = [name for name in names if not name.startswith((".", "@"))]
    scopes = [name for name in names if name.startswith("@")]
    modules += [f"{scope}/{name}" for scope in scopes for name in os.listdir(artefact / scope)]
    modules = [name for name in modules if not (artefact / name).is_symlink()]
    listed: object = {}
    if PNPM_LIST not in names:
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            listed = json.loads(_head(artefact / NPM_LIST, _LARGEST_LOCK))["packages"]
        if not listed:
            raise _Unsure("neither npm nor pnpm lists its modules")
    known = listed if isinstance(listed, dict) else {}
    for name in sorted(modules):
        if f"{MODULES}/{name}" not in known:
            raise _Unsure(f"{name} in it was not installed")


def _configured(artefact: Path) -> None:
    for path in _all_files(artefact) if artefact.is_dir() else [artefact.name]:
        if os.path.splitext(path)[1].lower() in _SOURCE:
            raise _Unsure(f"{path} is source" if path == artefact.name else f"it holds {path}")


_PROOFS: Final[tuple[tuple[str, Callable[[Path], None]], ...]] = (
    ("__pycache__", _bytecode),
    (".pytest_cache", _of_shape(r"README\.md|v/cache/(lastfailed|nodeids|stepwise)")),
    (".mypy_cache", _of_shape(r"missing_stubs|\d+\.\d+/.+\.(json|db|ff)")),
    (".ruff_cache", _of_shape(r"\d+\.\d+\.\d+/\d+")),
    ("*.egg-info", _egg_info),
    ("build", _build),
    ("dist", _dist),
    (".coverage", _coverage_data),
    ("htmlcov", _coverage_report),
)
"""The check for each kind of artefact; raises `_Unsure` if it fails."""


def _is_same(copy: Path, source: Path) -> bool:
    """Whether both are regular files with the same content."""
    try:
        return filecmp.cmp(copy, source, shallow=False)
    except OSError:
        return False


def _is_cache(directory: Path) -> bool:
    return _head(directory / CACHE_TAG, len(_CACHE_SIGNATURE)) == _CACHE_SIGNATURE


def _only(directory: Path, names: str) -> None:
    """Raise `_Unsure` if the directory holds a name that does not match the pattern `names`."""
    for name in sorted(os.listdir(directory)):
        if not re.fullmatch(names, name):
            raise _Unsure(f"{name} in it is not from a known tool")


def _plain_files(directory: Path) -> list[str]:
    """The names in a directory that holds only regular files. Raises `_Unsure` if it holds more."""
    if not directory.is_dir():
        raise _Unsure("it is not a directory")
    found = sorted(_all_files(directory))
    if deeper := next((path for path in found if "/" in path), ""):
        raise _Unsure(f"{deeper} in it is not from a known tool")
    return found


def _all_files(directory: Path) -> Iterator[str]:
    """Every file below the directory, relative to it. Raises `_Unsure` for special files."""
    waiting = [""]
    while waiting:
        above = waiting.pop()
        with os.scandir(directory / above) as items:
            listed = list(items)
        for item in listed:
            path = f"{above}/{item.name}" if above else item.name
            if item.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif item.is_file(follow_symlinks=False):
                yield path
            else:
                raise _Unsure(f"{path} in it is not a plain file")


def _egg_infos(directory: Path) -> Iterator[Path]:
    """The egg-info directories of the project in `directory` that setuptools certainly made."""
    for place in (directory, directory / "src"):
        for found in sorted(place.glob("*.egg-info")) if place.is_dir() else ():
            if found.is_dir() and not why_unsure(place, found.name):
                yield found


def _names(directory: Path) -> set[str]:
    """The normalised distribution names of the project in `directory`."""
    names = {found.name.removesuffix(".egg-info") for found in _egg_infos(directory)}
    try:
        said = tomllib.loads(_text(directory / "pyproject.toml"))
        names.add(str(said["project"]["name"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return {_normal(name) for name in names}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _text(path: Path) -> str:
    return _head(path, _MOST_READ).decode(errors="replace")


def _head(path: Path, most: int) -> bytes:
    """The first bytes of a regular file; empty for anything else, including symlinks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | PLAIN_FLAGS)
    except OSError:
        return b""
    try:
        return os.read(descriptor, most) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    finally:
        os.close(descriptor)
