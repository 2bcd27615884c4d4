"""Counts commits, tags, other objects and stashes of a repository that exist nowhere else.

Everything that references of any kind lead to counts, and so do unfinished rebases and the like.
Objects that are known to come from elsewhere, or to be there, do not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from .git_directory import directories_of, heads_of_trees, put_away, under_way
from .origins import Origins, Reference
from .repository import Asker

_ALL: Final = ("--exclude=refs/stash", "--exclude=refs/prefetch/*", "--all")
"""All references, except stashes, which are counted separately, and prefetched ones."""

_OF_ONE_TREE: Final = ("refs/worktree", "refs/bisect", "refs/rewritten")
"""The references that are separate for each work tree."""


class Unpushed(NamedTuple):
    """How much of a repository exists nowhere else."""

    commits: int = 0
    tags: int = 0
    stashes: int = 0
    objects: int = 0
    under_way: int = 0


def unpushed(ask: Asker, place: str) -> Unpushed:
    """The counts of what did not come from elsewhere and is on no remote branch."""
    origins = Origins(ask, place)
    directories = directories_of(ask.repository)
    return Unpushed(
        _commits(ask, origins),
        _tags(origins),
        _stashes(ask, origins) + sum(map(put_away, directories)),
        _objects(origins),
        sum(map(under_way, directories)),
    )


def unpushed_of_tree(ask: Asker) -> Unpushed:
    """The counts of what would be lost with a linked work tree whose repository stays."""
    directory = ask.repository.directory
    said = ask("for-each-ref", "--format=%(objectname) %(objecttype)", *_OF_ONE_TREE)
    own = [line.split(b" ") for line in said.splitlines()]
    heads = ("--single-worktree", "--exclude=refs/*", "--all")
    known = ("--not", "--branches", "--tags", "--remotes")
    names = [to for to, kind in own if kind == b"commit"]
    return Unpushed(
        commits=_count(ask, (), *heads, *known, names=names),
        stashes=put_away(directory),
        objects=sum(kind != b"commit" for _, kind in own),
        under_way=under_way(directory),
    )


def _stashes(ask: Asker, origins: Origins) -> int:
    if all(one.name != b"refs/stash" for one in origins.references):
        return 0
    return max(1, int(ask("rev-list", "--walk-reflogs", "--count", "refs/stash")))


def _tags(origins: Origins) -> int:
    """The number of annotated tags that are not known to come from elsewhere."""
    tags = {one.to for one in origins.references if one.is_tag and one.kind == b"tag"}
    if tags:
        known = origins.packed() if origins.is_mirror() else origins.cloned()
        tags.difference_update(origins.fetched(), known)
    return len(tags)


def _objects(origins: Origins) -> int:
    """The number of objects other than commits that references lead to and that did not come from
    elsewhere: some tools keep snapshots like this.
    """
    others = {one.to for one in origins.references if _is_other(one)}
    if others:
        known = origins.packed() if origins.is_mirror() else origins.cloned()
        others.difference_update(origins.fetched(), known)
    return len(others)


def _is_other(one: Reference) -> bool:
    is_counted = one.is_tag and one.kind == b"tag"
    return one.kind != b"commit" and not one.came and not is_counted


def _commits(ask: Asker, origins: Origins) -> int:
    known, names = origins.fetched(), heads_of_trees(ask.repository)
    if origins.is_mirror():
        return _count(ask, known + origins.packed(), *_ALL, names=names)
    return _count(ask, known + origins.tracked() + origins.cloned(), *_ALL, names=names)


def _count(ask: Asker, known: Iterable[bytes], *asked: str, names: Iterable[bytes] = ()) -> int:
    """The number of commits reachable from `asked` and `names`, but not from `known`."""
    given = b"".join(b"^%s\n" % name for name in known) + b"".join(b"%s\n" % one for one in names)
    return int(ask("rev-list", "--count", "--ignore-missing", "--stdin", *asked, given=given))
