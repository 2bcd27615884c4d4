"""Finds the files that a run reads: those git tracks or would add, else those a walk finds."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ..core.fields import Unreadable
from ..errors import InvalidSettings, Refused
from ..store.project.project import MARKERS
from ..store.system.at import PLAIN_FLAGS
from ..store.system.git import ask_git
from ..store.system.reading import read_file
from ..store.system.walking import walk
from .texts import is_text

_NEVER_ENTERED: Final = frozenset({"__pycache__", "node_modules"})
_PROSE: Final = frozenset({".md", ".rst", ".txt", ".html", ".diff", ".patch", ".log", ".pyc"})
_LARGEST: Final = 4 << 20
"""Files larger than this (bytes) are treated as data and skipped."""

_LEFTOVER: Final = re.compile(r"\.tempkeep-[0-9a-z_]{8}\.tmp")
"""The name of a rewritten file just before it replaces the old one."""

_CALLED: Final = (".gitignore", *MARKERS)
_PYTHON: Final = (".py", ".pyw")
_SHEBANG: Final = re.compile(rb"#![^\n]*\bpython")
_SHEBANG_BYTES: Final = 128

NOTEBOOK: Final = ".ipynb"
"""The suffix of notebooks."""


class Ground(NamedTuple):
    """One tree of files: all of them and those requested, relative to `top` with `/`.

    `files` are Python files, project markers, notebooks and text files, sorted. Without `git`,
    there is no older version of them to restore.
    """

    top: str
    files: tuple[str, ...]
    selected: tuple[str, ...]
    git: bool

    @property
    def projects(self) -> frozenset[str]:
        """The directories that hold a project marker; the top is ""."""
        return frozenset(
            path.rpartition("/")[0] for path in self.files if path.rpartition("/")[2] in MARKERS
        )

    def is_python(self, path: str) -> bool:
        """Whether the file is a Python module, or a script that names Python on its first line."""
        name = path.rpartition("/")[2]
        return name.endswith(_PYTHON) or not ("." in name or name in MARKERS or is_text(path))

    def shown(self, path: str) -> str:
        """The path, relative to the working directory if it is below it."""
        whole = os.path.join(self.top, path)
        relative = os.path.relpath(whole)
        return whole if relative.startswith("..") else relative


def find_grounds(paths: Sequence[str]) -> list[Ground]:
    """The trees that hold `paths` (the working directory if there are none), by their top.

    Raises `InvalidSettings` for a path that does not exist, `Refused` if git cannot be run.
    """
    asked: dict[tuple[str, bool], list[str]] = {}
    for path in paths or ["."]:
        whole = os.path.realpath(path)
        if not os.path.exists(whole):
            raise InvalidSettings(f"{path} does not exist; give a file or a directory")
        if not (os.path.isfile(whole) or os.path.isdir(whole)):
            raise InvalidSettings(f"{path} is neither a file nor a directory; give one of these")
        top = _work_tree(whole)
        if top is not None and not _is_ignored(top, whole):
            asked.setdefault((top, True), []).append(whole)
        else:
            outside = whole if os.path.isdir(whole) else os.path.dirname(whole)
            asked.setdefault((outside, False), []).append(whole)
    grounds = []
    taken: set[str] = set()
    for (top, git), wholes in sorted(asked.items()):
        named = {os.path.relpath(one, top) for one in wholes if os.path.isfile(one)}
        listed = _listed(top) if git else _walked(top)
        files = tuple(sorted(_kept(top, listed) | (named & _kept(top, named, named=True))))
        prefixes = [_below(os.path.relpath(one, top)) for one in wholes if os.path.isdir(one)]
        ours = _packages(files)
        foreign = _foreign(top, files) - named if git else frozenset()
        selected = tuple(
            path
            for path in files
            if (path in named or path.startswith(tuple(prefixes)))
            and not path.startswith(ours)
            and path not in foreign
            and os.path.join(top, path) not in taken
        )
        taken |= {os.path.join(top, path) for path in selected}
        files = tuple(path for path in files if not path.startswith(ours))
        grounds.append(Ground(top, files, selected, git))
    return grounds


def mentioning(ground: Ground, word: str) -> str:
    """A file of `ground` that is not Python and contains `word`, such as settings, notebooks or
    scripts; "" if there is none. Prose is left out.
    """
    wanted = word.encode()
    for path in _listed(ground.top) if ground.git else _walked(ground.top):
        suffix = os.path.splitext(path)[1].lower()
        if suffix in _PROSE or suffix in (".py", ".pyw"):
            continue
        whole = os.path.join(ground.top, path)
        try:
            if wanted in read_file(whole, _LARGEST, follow=True):
                return path
        except (OSError, Unreadable):
            continue
    return ""


def leftovers(ground: Ground) -> list[str]:
    """Untracked files beside those of `ground` with names that a killed run leaves."""
    found = []
    for above in sorted({os.path.dirname(path) for path in ground.selected}):
        with contextlib.suppress(OSError):
            names = filter(_LEFTOVER.fullmatch, os.listdir(os.path.join(ground.top, above)))
            found += [os.path.join(above, name) for name in names]
    if not (found and ground.git):
        return found
    tracked = _git(ground.top, "--literal-pathspecs", "ls-files", "-z", "--cached", "--", *found)
    return [path for path in found if os.fsencode(path) not in tracked.split(b"\0")]


def check_clean(ground: Ground) -> None:
    """Raises `Refused` unless git can restore every file of `ground` to its current state."""
    remedy = "commit or stash first, or give --allow-dirty"
    if not ground.git:
        raise Refused(
            f"{ground.top} is not under version control, so nothing was written; "
            "put it under git, or give --allow-dirty"
        )
    changed = _git(ground.top, "status", "--porcelain", "-z", "--untracked-files=all")
    names = [os.fsdecode(line[3:]) for line in changed.split(b"\0") if len(line) > 3]
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise Refused(
            f"{ground.top} has changes that are not committed ({names[0]}{more}), so nothing was "
            f"written; {remedy}"
        )
    # `git status` does not show files that git was told to ignore changes in.
    listed = _git(ground.top, "ls-files", "-v", "-z", "--cached").split(b"\0")
    looked_at = {os.fsdecode(line[2:]) for line in listed if line.startswith(b"H ")}
    for path in ground.files:
        if path not in looked_at:
            raise Refused(
                f"git was told not to look for changes in {path} in {ground.top} (assume-unchanged "
                f"or skip-worktree), so nothing was written; {remedy}"
            )


def _below(relative: str) -> str:
    return "" if relative == "." else relative.replace(os.sep, "/") + "/"


def _kept(top: str, paths: Iterable[str], *, named: bool = False) -> set[str]:
    """The `paths` that are Python files, notebooks, text files or project markers. No symlink is
    followed, in any part of the path (git's index can still list files below a directory that is
    now a symlink).
    """
    kept = set()
    for path in paths:
        name = path.rpartition("/")[2]
        whole = os.path.join(top, path)
        known = name.endswith((*_PYTHON, NOTEBOOK)) or name in _CALLED or is_text(path)
        if not (named or known or ("." not in name and _names_python(whole))):
            continue
        if name == ".git" or (os.path.isfile(whole) and os.path.realpath(whole) == whole):
            kept.add(path)
    return kept


def _names_python(path: str) -> bool:
    """Whether the file is a regular one whose first line makes it a Python script."""
    try:
        descriptor = os.open(path, os.O_RDONLY | PLAIN_FLAGS)
    except OSError:
        return False
    try:
        is_plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return is_plain and _SHEBANG.match(os.read(descriptor, _SHEBANG_BYTES)) is not None
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _packages(files: Sequence[str]) -> tuple[str, ...]:
    """The directories that hold `common.temp` itself or a copy of it under another name."""
    known = set(files)
    return tuple(
        path[: -len(mark)]
        for mark in ("store/sweep/sweep.py", "store/sweep.py")  # of an older copy
        for path in files
        if path.endswith(mark) and {f"{path[: -len(mark)]}{name}" for name in _OWN} <= known
    )


def _foreign(top: str, files: Sequence[str]) -> frozenset[str]:
    """The `files` that `.gitattributes` marks as generated or vendored."""
    names = b"".join(os.fsencode(path) + b"\0" for path in files)
    said = _git(top, "check-attr", "-z", "--stdin", *_FOREIGN, stdin=names).split(b"\0")
    told = zip(said[::3], said[2::3], strict=False)
    return frozenset(os.fsdecode(path) for path, value in told if value in (b"set", b"true"))


_FOREIGN: Final = ("linguist-generated", "linguist-vendored")
_OWN: Final = ("contexts.py", "legacy.py", "manager.py")


def _walked(top: str) -> Iterator[str]:
    for above, directories, names in walk(top):
        base = _below(os.path.relpath(above, top))
        directories[:] = [
            name
            for name in directories
            if not name.startswith(".")
            and name not in _NEVER_ENTERED
            and not os.path.lexists(os.path.join(above, name, "pyvenv.cfg"))
            and not os.path.lexists(os.path.join(above, name, ".git"))
        ]
        yield from (base + name for name in names)


def _listed(top: str) -> list[str]:
    """The files below `top` that git tracks or would add, without submodules and ignored files."""
    said = _git(top, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return [os.fsdecode(path) for path in said.split(b"\0") if path and not path.endswith(b"/")]


def _work_tree(path: str) -> str | None:
    """The top of the git work tree that holds `path`; `None` if there is none."""
    directory = Path(path if os.path.isdir(path) else os.path.dirname(path))
    if not any((above / ".git").exists() for above in (directory, *directory.parents)):
        return None
    said = _git(str(directory), "rev-parse", "--show-toplevel")
    return os.path.realpath(os.fsdecode(said.rstrip(b"\n")))


def _is_ignored(top: str, path: str) -> bool:
    if path == top:
        return False
    try:
        asked = ask_git(top, "check-ignore", "-q", "--", path)
    except OSError:
        return False
    return asked.returncode == 0


def ignoring(top: str, path: str) -> bool:
    """Whether a `.gitignore` of the tree makes git ignore `path` (a directory if it ends with
    `/`), whether or not it exists. Ignore patterns of this user or clone alone do not count.
    """
    asked = ask_git(top, "check-ignore", "-v", "--no-index", "--", path)
    source = os.fsdecode(asked.stdout).partition(":")[0]
    return asked.returncode == 0 and source.endswith(".gitignore") and not os.path.isabs(source)


def _git(directory: str, *arguments: str, stdin: bytes = b"") -> bytes:
    remedy = f"make `git status` work in {directory} first"
    try:
        asked = ask_git(directory, *arguments, stdin=stdin)
    except OSError as error:
        raise Refused(f"cannot run git ({error.strerror}); {remedy}") from error
    if asked.returncode:
        said = os.fsdecode(asked.stderr).strip().partition("\n")[0]
        raise Refused(f"git {arguments[0]} failed ({said}); {remedy}")
    return asked.stdout
