"""Real git repositories for tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support import run, scanned, swept


def git(where: Path, *arguments: str, who: str = "a@b") -> None:
    """Run git there, as whom it is; what it says is shown if it fails."""
    identity = ("-c", "user.name=a", "-c", f"user.email={who}")
    options = ("-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main")
    where.mkdir(parents=True, exist_ok=True)
    done = run(["git", *identity, *options, *arguments], cwd=where)
    assert done.returncode == 0, done.stderr


def commit(where: Path) -> None:
    """An empty commit there."""
    git(where, "commit", "-q", "--allow-empty", "-m", str(os.urandom(4)))


_origin: dict[Path, bytes] = {}
"""The files of one, to write again: git takes longer to make it."""


def make_origin(there: Path) -> Path:
    """A repository with two commits and a tag, from which others are cloned."""
    if _origin:
        (there / ".git" / "refs" / "heads").mkdir(parents=True)
        for relative, content in _origin.items():
            (there / relative).parent.mkdir(parents=True, exist_ok=True)
            (there / relative).write_bytes(content)
        return there
    git(there, "init", "-q")
    (there / "a").write_text("a")
    git(there, "add", "a")
    commit(there)
    git(there, "tag", "v1")
    commit(there)
    shutil.rmtree(there / ".git" / "hooks")
    for path in there.rglob("*"):
        if path.is_file():
            _origin[path.relative_to(there)] = path.read_bytes()
    return there


def clone(origin: Path, there: Path, *options: str) -> Path:
    """A clone of `origin` at `there`."""
    git(there.parent, "clone", "-q", *options, f"file://{origin}", there.name)
    return there


def check_that_they_go(
    root: Path, elsewhere: Path, makers: Sequence[Callable[[Path, Path], object]]
) -> None:
    """What each of them leaves of a repository in an entry is no work, and so the entry goes."""
    (root / "cache").mkdir(parents=True)
    for make in makers:
        name = make.__name__
        make(make_origin(elsewhere / name / "origin"), root / "cache" / name)
    assert {path: found.work for path, found in scanned(root).items()} == {
        f"cache/{make.__name__}": None for make in makers
    }
    assert len(swept(root).done) == len(makers)
