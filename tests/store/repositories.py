"""Real repositories of git for tests."""

from __future__ import annotations

import os
from collections.abc import Callable
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


def make_origin(there: Path) -> Path:
    """A repository with two commits and a tag, from which others are cloned."""
    git(there, "init", "-q")
    (there / "a").write_text("a")
    git(there, "add", "a")
    commit(there)
    git(there, "tag", "v1")
    commit(there)
    return there


def clone(origin: Path, there: Path, *options: str) -> Path:
    """A clone of `origin` at `there`."""
    git(there.parent, "clone", "-q", *options, f"file://{origin}", there.name)
    return there


def check_that_it_goes(root: Path, origin: Path, make: Callable[[Path, Path], None]) -> None:
    """What `make` leaves of `origin` in an entry is no work, and so the entry goes."""
    (root / "cache").mkdir(parents=True)
    make(origin, root / "cache" / "r")
    assert scanned(root)["cache/r"].work is None
    assert len(swept(root).done) == 1
