"""Finds git work in a directory that exists nowhere else: changes, commits, stashes.

If git cannot be run, or does not answer, the directory counts as holding work, and stays.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from typing import Final

from ...core.units import DAY
from .git_directory import repositories_in, trees_of
from .repository import Asker, CannotTell, Repository, lies_in, read_plain, repository_of
from .unpushed import unpushed, unpushed_of_tree
from .unshown_files import unshown

_GONE_FOR: Final = 90 * DAY
"""How long a missing linked work tree may be on an unmounted disk; git forgets it after the same
time (`gc.worktreePruneExpire`)."""

_OF_A_WORK_TREE: Final = re.compile(r"/worktrees/[^/]+/modules/")
"""The git directory of a submodule in a linked work tree, which is removed with that work tree."""


def unsaved_work(place: str, repositories: Iterable[str]) -> tuple[str, str] | None:
    """The first of `repositories` (paths below `place`) with work that would be lost with `place`,
    and a description of that work; `None` if there is none.

    Work means uncommitted files that are not ignored, commits that no remote is known to have,
    stashes, and work trees elsewhere that need the repository. Commits in a repository outside
    `place` are not lost. A locked work tree stays as well.
    """
    repositories = tuple(repositories)
    for inner in repositories:
        if _is_mark_of_cache(place, inner):
            continue
        try:
            repository = repository_of(os.path.join(place, inner) if inner else place)
            is_led_to = bool(repository.tree) or _is_led_to(repository, place, repositories)
            what = _work_in(repository, place, is_led_to)
        except CannotTell as why:
            what = f"cannot tell what is only there ({why})"
        if what:
            return inner, what
    return None


def linked_to(place: str, repositories: Iterable[str]) -> list[str]:
    """The repositories outside `place` to which work trees in it are linked, sorted."""
    found = set()
    for inner in repositories:
        try:
            repository = repository_of(os.path.join(place, inner) if inner else place)
        except CannotTell:
            continue
        if repository.is_linked and not lies_in(repository.common, place):
            main, _, last = repository.common.rpartition("/")
            found.add(main if last == ".git" else repository.common)
    return sorted(found)


def _is_led_to(repository: Repository, place: str, repositories: Iterable[str]) -> bool:
    """Whether the `.git` of a work tree in `place` points to the repository."""
    here = os.path.realpath(repository.directory)
    for inner in repositories:
        with contextlib.suppress(CannotTell):
            other = repository_of(os.path.join(place, inner))
            if other.tree and other.directory == here:
                return True
    return False


def _work_in(repository: Repository, place: str, is_led_to: bool) -> str:
    """A description of what would be lost of the repository with `place`; "" if nothing would.

    If it has an index and no work tree in `place` points to it, its work tree is elsewhere.
    """
    if repository.is_linked and os.path.lexists(os.path.join(repository.directory, "locked")):
        return "a locked work tree"
    ask = Asker(repository)
    said = []
    if repository.tree:
        ask.check_filters()
        others = unshown(ask)
        said.append((_uncommitted(ask) + others.changed, "uncommitted file"))
        said.append((others.filtered, "file that a filter of git changes"))
        said.append((others.large, "possibly unpushed git-lfs file"))
    is_here = lies_in(repository.common, place)
    if is_here and os.path.lexists(os.path.join(repository.common, "annex", "objects")):
        raise CannotTell("git-annex has content in it")
    if is_here or _OF_A_WORK_TREE.search(repository.common):
        modules = [Repository("", module, module) for module in _modules(repository, place)]
        lost = [unpushed(Asker(module), place) for module in modules]
        said += zip(unpushed(ask, place), _LOST, strict=True)
        for number, what in enumerate(_LOST):
            said.append((sum(one[number] for one in lost), f"{what} of submodules"))
        trees = sum(_linked_from(one, place) for one in (repository, *modules))
        trees += _is_of_a_tree_elsewhere(ask, place, is_led_to)
        said.append((trees, "work tree that is elsewhere"))
    else:
        said += zip(unpushed_of_tree(ask), ("commit on no branch", *_LOST[1:]), strict=True)
    return ", ".join(_counted(number, what) for number, what in said if number)


def _uncommitted(ask: Asker) -> int:
    """The number of new or changed files that `git status` shows."""
    # The clone may have been made on a filesystem where `README` and `readme` are the same file.
    folds = os.path.lexists(os.path.join(ask.repository.tree, ".GIT"))
    settings = ("-c", f"core.ignorecase={str(folds).lower()}")
    options = ("-z", "--untracked-files=normal", "--ignore-submodules=all", "--no-renames")
    return ask(*settings, "status", "--porcelain", *options).count(b"\0")


def _modules(repository: Repository, place: str) -> Iterator[str]:
    """The git directories of submodules that are not checked out in `place`: no work tree there
    points to them.
    """
    for path in repositories_in(repository):
        said = Asker(Repository("", path, path)).values("core.worktree")
        trees = (os.path.join(path, tree) for tree in said)
        if not any(lies_in(tree, place) and _leads_to(tree, path) for tree in trees):
            yield path


def _leads_to(tree: str, directory: str) -> bool:
    """Whether the `.git` of the work tree points to the git `directory`."""
    with contextlib.suppress(CannotTell):
        other = repository_of(tree)
        return bool(other.tree) and other.directory == os.path.realpath(directory)
    return False


def _is_of_a_tree_elsewhere(ask: Asker, place: str, is_led_to: bool) -> bool:
    """Whether its own work tree is outside `place`: what is staged there is stored only here."""
    directory = ask.repository.directory
    trees = (os.path.join(directory, tree) for tree in ask.values("core.worktree"))
    return any(os.path.lexists(tree) and not lies_in(tree, place) for tree in trees) or (
        not is_led_to and os.path.lexists(os.path.join(directory, "index"))
    )


def _linked_from(repository: Repository, place: str) -> int:
    """The number of linked work trees outside `place`, which are useless without the repository."""
    return sum(
        not lies_in(tree, place) and (os.path.lexists(tree) or time.time() - used < _GONE_FOR)
        for tree, used in trees_of(repository)
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {_PLURALS.get(what, what + 's')}"


_LOST: Final = (
    "unpushed commit", "unpushed tag", "stash", "unpushed object",
    "unfinished rebase, merge or bisect",
)  # fmt: skip
"""The names of the counts, in the order of `Unpushed`."""

_PLURALS: Final = {
    "file that a filter of git changes": "files that a filter of git changes",
    "stash": "stashes",
    "commit on no branch": "commits on no branch",
    "unpushed commit of submodules": "unpushed commits of submodules",
    "unpushed tag of submodules": "unpushed tags of submodules",
    "stash of submodules": "stashes of submodules",
    "unpushed object of submodules": "unpushed objects of submodules",
    "unfinished rebase, merge or bisect": "unfinished rebases, merges or bisects",
    "unfinished rebase, merge or bisect of submodules": (
        "unfinished rebases, merges or bisects of submodules"
    ),
    "work tree that is elsewhere": "work trees that are elsewhere",
}


def _is_mark_of_cache(place: str, inner: str) -> bool:
    """Whether it is an empty `.git` in a cache, made by uv so that tools do not search above it."""
    if read_plain(os.path.join(place, inner, ".git")) != b"":
        return False
    parts = inner.split("/") if inner else []
    above = (os.path.join(place, *parts[:number]) for number in range(len(parts) + 1))
    return any(os.path.isfile(os.path.join(directory, "CACHEDIR.TAG")) for directory in above)
