"""Content of a git directory besides its objects and its own references: operations in progress,
the references of its work trees, and the repositories of its submodules.
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
"""Where git keeps changes autostashed during a rebase or merge; they are in no stash."""

_UNDER_WAY: Final = (
    "rebase-merge", "rebase-apply", "sequencer", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD",
    "BISECT_LOG",
)  # fmt: skip
"""Where git keeps the state of unfinished merges, rebases, picks, reverts and bisects."""

_NESTED: Final = ("modules", "worktrees")
_GIT_DIRECTORY: Final = frozenset({"HEAD", "objects", "refs"})


def put_away(directory: str) -> int:
    """The number of autostashes of a rebase or merge in the git `directory`."""
    return sum(os.path.lexists(os.path.join(directory, name)) for name in _PUT_AWAY)


def under_way(directory: str) -> int:
    """Whether a rebase, merge, bisect or the like is unfinished in the git `directory`."""
    return any(os.path.lexists(os.path.join(directory, name)) for name in _UNDER_WAY)


def directories_of(repository: Repository) -> list[str]:
    """The git directories of the repository: its own, the common one with the commits, and those of
    linked work trees, whether or not these still exist.
    """
    trees = os.path.join(repository.common, "worktrees")
    try:
        linked = [os.path.join(trees, name) for name in sorted(os.listdir(trees))]
    except OSError as error:
        cannot_tell(error)
        linked = []
    return list(dict.fromkeys((repository.directory, repository.common, *linked)))


def heads_of_trees(repository: Repository) -> list[bytes]:
    """The objects that references private to one linked work tree point to (`refs/worktree/…`)."""
    found = []
    for directory in directories_of(repository):
        if directory in (repository.directory, repository.common):
            continue  # git lists these
        if os.path.lexists(os.path.join(directory, "reftable")):
            raise CannotTell("the references of its work trees are in no files")
        for path, _, files in os.walk(os.path.join(directory, "refs"), onerror=cannot_tell):
            said = (read_plain(os.path.join(path, name)) or b"" for name in files)
            found += [name for name in map(bytes.strip, said) if is_object(name)]
    return found


def repositories_in(repository: Repository) -> Iterator[str]:
    """The git directories of its submodules, whether or not they are checked out."""
    for above in {repository.directory, repository.common}:
        for path, directories, files in os.walk(above, onerror=cannot_tell):
            if "HEAD" in files:
                if path != above and _GIT_DIRECTORY.issubset({*directories, *files}):
                    yield path
                directories[:] = [name for name in directories if name in _NESTED]


def trees_of(repository: Repository) -> list[tuple[str, float]]:
    """The last known path of the `.git` of each linked work tree, and when the index of that tree
    was last written (0 if it has none).
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
    """Raise `CannotTell`, unless the file does not exist."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise CannotTell(f"{os.path.basename(error.filename or '')}: {reason_of(error)}")
