"""Finding what git tracks: in a directory, in the scratch of a work tree, or a single path."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ...errors import Refused, reason_of
from ..system.git import ask_git
from ..system.letter_case import folded
from .ignore_rules import ASKING, PLACEHOLDERS, question, why_unnamed
from .project import SCRATCH_NAMES

REPOSITORIES: Final = {
    ".git": "git",
    ".hg": "Mercurial",
    ".svn": "Subversion",
    ".jj": "Jujutsu",
    ".bzr": "Breezy",
    ".pijul": "Pijul",
    "_darcs": "Darcs",
    "CVS": "CVS",
    ".fslckout": "Fossil",
    "_FOSSIL_": "Fossil",
    ".sl": "Sapling",
    "_MTN": "Monotone",
}
"""The marker of a work tree, and its version control system. Only git is ever asked."""

_STALE_SECONDS: Final = 1.0
"""How long an answer of git is valid while its index is unchanged."""


class Tracked:
    """The paths that git tracks in `directory`, in its index or in the checked-out commit.

    `doubt` says why version control cannot tell which files are hand-written; "" if git can.
    `failed` says why git could not be asked although there is a repository; else "".
    """

    def __init__(self, directory: Path) -> None:
        self.doubt = self.failed = ""
        self._directory = Path(os.path.realpath(directory))
        self._paths: set[str] = set()
        self._parents: dict[str, str] = {}
        self._folded: dict[str, list[str]] | None = None
        self._trees: list[_Tree] = []
        self._doubts: dict[str, str] = {}
        self._asked_at = time.monotonic()
        self._ask()
        for path in sorted(self._paths):
            above = path.rpartition("/")[0]
            while above and above not in self._parents:
                self._parents[above] = path
                above = above.rpartition("/")[0]

    def _ask(self) -> None:
        is_settled = False
        for above in (self._directory, *self._directory.parents):
            lying = [name for name in REPOSITORIES if os.path.lexists(above / name)]
            doubts = [f"{REPOSITORIES[name]} is not asked" for name in lying if name != ".git"]
            failed = ""
            if ".git" in lying:
                try:
                    paths, doubt, index = _tracked_by(above, self._directory)
                    self._paths |= paths
                    self._trees.append(_Tree(above, index, _state(index), not is_settled))
                    doubts.append(doubt)
                except Refused as error:
                    doubts.append(failed := str(error))
            if not is_settled:
                # The nearest repository decides; outer ones only add tracked paths.
                self.doubt = self.doubt or next(filter(None, doubts), "")
                self.failed = failed
            is_settled = is_settled or ".git" in lying
        if not is_settled and not self.doubt:
            self.doubt = "there is no version control"

    def inside(self, path: str) -> str | None:
        """A tracked path that is `path` itself or below it, if any."""
        found = path if path in self._paths else self._parents.get(path)
        return found or next(self._otherwise_spelled(path), None)

    def ask_about(self, paths: Iterable[str]) -> None:
        """Ask git in one call which rules ignore the `paths`, for `doubt_about`."""
        asked = list(paths)
        for tree in self._trees if asked and not self.doubt else ():
            if tree.decides:
                try:
                    self._doubts |= _unnamed(tree.top, self._directory, asked)
                except Refused as error:
                    self.doubt = self.failed = str(error)

    def doubt_about(self, path: str) -> str:
        """Why git does not confirm that `path` is generated; "" if an ignore rule names it and git
        looks there at all.
        """
        if path not in self._doubts:
            self.ask_about([path])
        return self.doubt or self._unseen(path) or self._doubts[path]

    def _unseen(self, path: str) -> str:
        """Why git does not look at `path`: it is inside a path that git tracks as a unit, usually a
        submodule without `.git`. Else "".
        """
        above = path.rpartition("/")[0]
        while above:
            found = self.inside(above)
            if found is not None and found.count("/") == above.count("/"):
                return f"git takes {above} for a submodule or a file"
            above = above.rpartition("/")[0]
        return ""

    def look_again(self, path: str) -> tuple[str, str]:
        """The path that git now tracks at `path`, or "", and the current result of `doubt_about`.
        Git is asked only if something can have changed.

        Accepted race: a file created within a second after git was asked, and not added to git.
        """
        is_stale = time.monotonic() - self._asked_at > _STALE_SECONDS
        for tree in self._trees:
            if not is_stale and _state(tree.index_file) == tree.state:
                continue
            try:
                if listed := _listed(tree.top, self._directory, path):
                    return listed[0], ""
            except Refused as error:
                return "", str(error)
            if tree.decides:
                self._doubts.pop(path, None)
        return "", self.doubt_about(path)

    def top_level(self) -> set[str]:
        """The names in the directory that git tracks or that contain a tracked file, placeholders
        excluded.
        """
        real = (path for path in self._paths if path.rpartition("/")[2] not in PLACEHOLDERS)
        return {path.partition("/")[0] for path in real}

    def _otherwise_spelled(self, path: str) -> Iterator[str]:
        """Paths tracked under another spelling of `path` that the filesystem considers the same."""
        if self._folded is None:
            self._folded = {}
            for known in (*self._paths, *self._parents):
                self._folded.setdefault(folded(known), []).append(known)
        for known in self._folded.get(folded(path), ()):
            with contextlib.suppress(OSError):
                one, other = (os.lstat(self._directory / name) for name in (path, known))
                if os.path.samestat(one, other):
                    yield self._parents.get(known, known)


class _Tree(NamedTuple):
    """A git work tree around the directory, and the state of its index when git was asked.

    The nearest one `decides` what is ignored.
    """

    top: Path
    index_file: Path
    state: tuple[int, ...]
    decides: bool


def _state(index: Path) -> tuple[int, ...]:
    """A value that changes with every change of the index."""
    try:
        status = os.stat(index)
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _listed(top: Path, directory: Path, path: str) -> list[str]:
    """The paths that git tracks at `path`, relative to `directory`. Raises `Refused`."""
    prefix = _prefix(top, directory)
    listed = _answer(top, "--literal-pathspecs", "ls-files", "-z", "--", f"{prefix}{path}")
    return [os.fsdecode(name)[len(prefix) :] for name in listed.split(b"\0") if name]


def _unnamed(top: Path, directory: Path, paths: Iterable[str]) -> dict[str, str]:
    """Why no ignore rule names each of the `paths` below `directory`. Raises `Refused`."""
    prefix = _prefix(top, directory)
    given = [f"{prefix}{path}" for path in paths]
    said = _answer(top, *ASKING, may_fail=True, stdin=question(given))
    return {path[len(prefix) :]: why for path, why in why_unnamed(said, top, given).items()}


def _prefix(top: Path, directory: Path) -> str:
    """The prefix that turns a path relative to `directory` into one relative to `top`."""
    base = os.path.relpath(directory, top).replace(os.sep, "/")
    return "" if base == "." else f"{base}/"


def _tracked_by(top: Path, directory: Path) -> tuple[set[str], str, Path]:
    """The relative paths in `directory` that the repository of the work tree `top` tracks; why they
    do not show which files are hand-written, or ""; and the path of its index. Raises `Refused` if
    git does not answer.
    """
    told = os.fsdecode(_answer(top, "rev-parse", "--show-toplevel")).removesuffix("\n")
    if os.path.realpath(told) != str(top):
        raise Refused(f"git takes {told} for the work tree of {top / '.git'}")
    below = os.path.relpath(directory, top).replace(os.sep, "/")
    listed = _answer(top, "--literal-pathspecs", "ls-files", "-z", "--", below)
    if head := _answer(top, "rev-parse", "--verify", "--quiet", "HEAD", may_fail=True).strip():
        tree = ("ls-tree", "-r", "-z", "--name-only", "--full-tree", os.fsdecode(head))
        listed += _answer(top, "--literal-pathspecs", *tree, "--", below)
    prefix = "" if below == "." else f"{below}/"
    paths = {
        path[len(prefix) :]
        for path in map(os.fsdecode, listed.split(b"\0"))
        if path.startswith(prefix) and len(path) > len(prefix)
    }
    index = os.fsdecode(_answer(top, "rev-parse", "--git-path", "index")).removesuffix("\n")
    if not os.path.lexists(top / index):
        return paths, "git has no index", top / index
    return paths, "" if paths else "git tracks nothing here", top / index


def _answer(directory: Path, *arguments: str, may_fail: bool = False, stdin: bytes = b"") -> bytes:
    """The output of git. If it `may_fail`, exit code 1 is accepted, as without any commit."""
    try:
        asked = ask_git(directory, *arguments, stdin=stdin)
    except OSError as error:
        raise Refused(f"git cannot be asked ({error.strerror})") from error
    if asked.returncode and not (may_fail and asked.returncode == 1):
        said = os.fsdecode(asked.stderr).strip().partition("\n")[0]
        raise Refused(f"git cannot be asked ({said})")
    return asked.stdout


def tracked_scratch(directory: Path) -> list[tuple[str, int]]:
    """The `.tmp` and `.temp` in the whole work tree around `directory` in which git tracks files.

    Returns their paths, relative to `directory`, and the number of tracked files. In a git hook,
    these are the files tracked after the commit. Raises `Refused` if git cannot be asked.
    """
    try:
        asked = ask_git(directory, "ls-files", "-z", "--", ":/", in_hook=True)
    except OSError as error:
        raise Refused(f"cannot run git: {error.strerror}") from error
    if asked.returncode:
        said = os.fsdecode(asked.stderr).strip().partition("\n")[0]
        raise Refused(f"git cannot list what it tracks in {directory}: {said}")
    found: Counter[str] = Counter()
    for path in asked.stdout.split(b"\0"):
        parts = os.fsdecode(path).split("/")
        at = next((index for index, part in enumerate(parts) if part in SCRATCH_NAMES), None)
        if at is not None:
            found["/".join(parts[: at + 1])] += 1
    return sorted(found.items())


def tracks(path: str) -> bool:
    """Whether git tracks the absolute `path`, in any work tree around it.

    An outer repository may track files in an inner one that was created later. Raises `Refused` if
    there is a repository and git cannot be asked.
    """
    for above in Path(path).parents:
        if os.path.lexists(above / ".git") and _tracks(above, path):
            return True
    return False


def _tracks(work_tree: Path, path: str) -> bool:
    below = os.path.relpath(path, work_tree).replace(os.sep, "/")
    try:
        # Ignoring case: some filesystems do.
        asked = ask_git(work_tree, "ls-files", "-z", "--", f":(top,literal,icase){below}")
    except OSError as error:
        said = f"cannot run git: {reason_of(error)}"
    else:
        if not asked.returncode:
            return bool(asked.stdout)
        said = os.fsdecode(asked.stderr).strip().partition("\n")[0]
    raise Refused(
        f"{path} is a symlink, and git cannot say whether it tracks it ({said}); make `git "
        f"ls-files` work in {work_tree}, or remove the link"
    )
