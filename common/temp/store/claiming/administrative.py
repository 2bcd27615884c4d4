"""What lies in the directory of a repository beside its objects and its own references: what is
under way, the references of its work trees, and the repositories of its submodules.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

from ...errors import reason_of
from .repository import CannotTell, Repository, is_object, read_plain

_PUT_AWAY: Final = (
    "rebase-merge/autostash", "rebase-apply/autostash", "MERGE_AUTOSTASH",
)  # fmt: skip
"""Where git keeps changes that it put away for the time of a rebase or merge; no stash has them."""

_UNDER_WAY: Final = (
    "rebase-merge", "rebase-apply", "sequencer", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD",
)  # fmt: skip
"""Where git keeps what is still to be merged, picked or applied."""

_NESTED: Final = ("modules", "worktrees")
_GIT_DIRECTORY: Final = frozenset({"HEAD", "objects", "refs"})


def put_away(directory: str) -> int:
    """How often changes were put away there for the time of a rebase or merge."""
    return sum(os.path.lexists(os.path.join(directory, name)) for name in _PUT_AWAY)


def under_way(directory: str) -> int:
    """Whether a rebase, a merge or the like waits there to be ended."""
    return any(os.path.lexists(os.path.join(directory, name)) for name in _UNDER_WAY)


def directories_of(repository: Repository) -> list[str]:
    """Its own directory, the one with its commits, and those of work trees linked to that, whether
    they are still there or not.
    """
    trees = os.path.join(repository.common, "worktrees")
    try:
        linked = [os.path.join(trees, name) for name in sorted(os.listdir(trees))]
    except OSError as error:
        cannot_tell(error)
        linked = []
    return list(dict.fromkeys((repository.directory, repository.common, *linked)))


def heads_of_trees(repository: Repository) -> list[bytes]:
    """What the references lead to that only one linked work tree has (`refs/worktree/…`)."""
    found = []
    for directory in directories_of(repository):
        if directory in (repository.directory, repository.common):
            continue  # git tells of those
        if os.path.lexists(os.path.join(directory, "reftable")):
            raise CannotTell("the references of its work trees are in no files")
        for path, _, files in os.walk(os.path.join(directory, "refs"), onerror=cannot_tell):
            said = (read_plain(os.path.join(path, name)) or b"" for name in files)
            found += [name for name in map(bytes.strip, said) if is_object(name)]
    return found


def repositories_in(repository: Repository) -> Iterator[str]:
    """The repositories of submodules in its directories, whether they are checked out or not."""
    for above in {repository.directory, repository.common}:
        for path, directories, files in os.walk(above, onerror=cannot_tell):
            if "HEAD" in files:
                if path != above and _GIT_DIRECTORY.issubset({*directories, *files}):
                    yield path
                directories[:] = [name for name in directories if name in _NESTED]


def trees_of(repository: Repository) -> list[tuple[str, float]]:
    """The `.git` of each work tree that is linked to it, as it was when it was last told, and when
    that tree's index was last written (0 if it has none).
    """
    found = []
    for directory in directories_of(repository):
        link = read_plain(os.path.join(directory, "gitdir"))
        if link:
            used = 0.0
            with contextlib.suppress(OSError):
                used = os.stat(os.path.join(directory, "index")).st_mtime
            found.append((os.path.join(directory, os.fsdecode(link.strip())), used))
    return found


def cannot_tell(error: OSError) -> None:
    """Raise `CannotTell`, unless there is nothing to look at."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise CannotTell(f"{os.path.basename(error.filename or '')}: {reason_of(error)}")
