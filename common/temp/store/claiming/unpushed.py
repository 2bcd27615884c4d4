"""Commits, tags and stashes that are nowhere else: what came from elsewhere does not count.

A remote in scratch, as `git fetch . topic:main` has it, is not elsewhere, nor is one that is gone.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import Final, NamedTuple

from ...core.layout import STORE
from ..project.project import OLD_ROOT_NAME
from ..root.around import root_above
from .repository import Asker, Repository, lies_in, read_plain

_OF_GIT: Final = tuple(
    f"refs/{kind}".encode()
    for kind in ("heads/", "tags/", "notes/", "stash", "bisect/", "prefetch/")
)
"""What git itself names so; those are asked for by other ways, or have other names too."""

_NAMES: Final = ("--tags", "--glob=refs/notes", "--glob=refs/bisect")
"""What else than a branch may name a commit that was made here."""

_IN_PROGRESS: Final = (
    "rebase-merge/autostash", "rebase-apply/autostash", "MERGE_AUTOSTASH",
)  # fmt: skip
"""Where git keeps changes that it put away for the time of a rebase or merge; no stash has them."""

_FETCHED: Final = ("clone:", "fetch", "checkout:", "reset:", "branch:", "remote", "initial")
"""What the log of a reference says where it was moved to what came from elsewhere; a `pull` may
also have made commits, by a merge or a rebase.
"""

_NOT_TAGS: Final = ("--not", "--tags")

_MOST_PACKED: Final = 16 << 20
_HASH: Final = 40
"""How long the shortest name of an object is, of a whole one."""


class Unpushed(NamedTuple):
    """How much of a repository is nowhere else: commits, annotated tags and stashes."""

    commits: int
    tags: int
    stashes: int


def unpushed(ask: Asker, place: str) -> Unpushed:
    """What there is that did not come from elsewhere and is on no remote branch."""
    origins = _Origins(ask, place)
    return Unpushed(_commits(ask, origins), _tags(origins), _stashes(ask))


def put_away(repository: Repository) -> int:
    """How often changes were put away there for the time of a rebase or merge."""
    return sum(os.path.lexists(os.path.join(repository.directory, name)) for name in _IN_PROGRESS)


def _stashes(ask: Asker) -> int:
    stashes = put_away(ask.repository)
    if ask("for-each-ref", "--count=1", "refs/stash"):
        number = int(ask("rev-list", "--walk-reflogs", "--count", "refs/stash"))
        stashes += max(1, number)
    return stashes


def _tags(origins: _Origins) -> int:
    """How many annotated tags there are that nothing shows to have come from elsewhere."""
    tags = set(origins.annotated())
    if tags:
        known = _packed(origins.repository) if origins.is_mirror() else origins.cloned()
        tags.difference_update(origins.fetched(), known)
    if tags:
        tags.difference_update(origins.logged())
    return len(tags and tags.difference(origins.older()))


def _commits(ask: Asker, origins: _Origins) -> int:
    fetched = origins.fetched()
    if origins.is_mirror():
        known = fetched + _packed(ask.repository)
        return _count(ask, known, "--exclude=refs/stash", "--all")
    known = fetched + origins.tracked()
    if (others := origins.others()) and (number := _count(ask, known, *_NOT_TAGS, names=others)):
        return number
    number = _count(ask, known, "--exclude=refs/*", "--all", "--branches")
    if number and not _is_of_one_commit(ask, origins):
        return number
    known += origins.cloned()
    asked = (*_NAMES, "--not", "--branches")
    if not _count(ask, known, *asked):
        return 0
    return _count(ask, known + origins.logged(), *asked)


def _count(ask: Asker, known: list[bytes], *asked: str, names: Iterable[bytes] = ()) -> int:
    """How many commits there are of those `asked` for and of those `names`, but the `known`."""
    given = b"".join(b"^%s\n" % name for name in known) + b"".join(b"%s\n" % one for one in names)
    return int(ask("rev-list", "--count", "--ignore-missing", "--stdin", *asked, given=given))


def _is_of_one_commit(ask: Asker, origins: _Origins) -> bool:
    """Whether it is a clone of a single tag or commit, which has no remote branches."""
    if not origins.are_there or ask("for-each-ref", "--count=1", "refs/remotes"):
        return False
    return bool(origins.moves) and all(_is_fetched(move.what) for move in origins.moves)


def _is_fetched(move: str) -> bool:
    return move.startswith(_FETCHED) or _is_fast_forward(move)


def _is_fast_forward(move: str) -> bool:
    """Whether a `pull` brought the very commit that it moved to."""
    return move.startswith("pull") and move.endswith(": Fast-forward")


def _packed(repository: Repository, begin: bytes = b"") -> list[bytes]:
    """What the packed references lead to whose names `begin` so."""
    packed = read_plain(os.path.join(repository.common, "packed-refs"), _MOST_PACKED) or b""
    lines = (line.split(b" ") for line in packed.splitlines() if line[:1] not in (b"#", b"^"))
    return [
        line[0]
        for line in lines
        if len(line) == 2 and _is_hash(line[0]) and line[1].startswith(begin)
    ]


def _is_hash(name: bytes) -> bool:
    return len(name) >= _HASH and name.isalnum()


class _Move(NamedTuple):
    """A line in the log of a reference: to what it was moved, when, by whom, and by what."""

    to: str
    at: int
    who: str
    what: str


class _Origins:
    """Where the commits of a repository come from, as far as its files tell."""

    def __init__(self, ask: Asker, place: str) -> None:
        self._ask = ask
        self.repository = ask.repository
        self._place = place
        # What is pushed becomes known as a branch of the remote as well, wherever it went.
        self._urls = ask.remotes("url") + ask.remotes("pushurl")
        self._known: dict[str, bool] = {}
        here = {name for name, url in self._urls if self._is_here(url)}
        self._elsewhere = {name for name, _ in ask.remotes("url")} - here

    @property
    def are_there(self) -> bool:
        """Whether there are remotes, and none of them is gone."""
        return bool(self._urls) and not any(
            _is_gone(url, self.repository, self._place) for _, url in self._urls
        )

    @functools.cached_property
    def moves(self) -> list[_Move]:
        """What the logs of the references say."""
        form = "--format=%H%x00%gd%x00%ge%x00%gs"
        log = self._ask("log", "--walk-reflogs", "--all", "--date=unix", form)
        found = []
        for line in os.fsdecode(log).split("\n"):
            commit, _, rest = line.partition("\0")
            selector, _, rest = rest.partition("\0")
            who, _, what = rest.partition("\0")
            at = selector.rpartition("@{")[2].rstrip("}")
            if what:
                found.append(_Move(commit, int(at) if at.isdecimal() else 0, who.lower(), what))
        return found

    @functools.cached_property
    def _references(self) -> list[tuple[bytes, bytes, bytes]]:
        """What each reference leads to, of which kind that is, and the name of the reference."""
        form = "--format=%(objectname) %(objecttype) %(refname)"
        lines = self._ask("for-each-ref", form).splitlines()
        return [(to, kind, name) for to, kind, name in (line.split(b" ", 2) for line in lines)]

    def annotated(self) -> list[bytes]:
        """The annotated tags, which say something that no commit does."""
        begin = b"refs/tags/"
        return [to for to, kind, name in self._references if kind == b"tag" and name[:10] == begin]

    def older(self) -> list[bytes]:
        """The annotated tags that were there before the clone was, and those of others that were
        there before a fetch was, if nothing was ever fetched from here.
        """
        from_here = any(
            self._is_here(dict(self._urls).get(source, source))
            for source in map(_source_in, (move.what for move in self.moves))
            if source
        )
        if from_here or not self._elsewhere or len(self._elsewhere) < len(dict(self._urls)):
            return []
        cloned = [move.at for move in self.moves if move.what.startswith("clone:")]
        fetched = [move.at for move in self.moves if move.what.startswith(("fetch", "pull"))]
        ours = {move.who for move in self.moves} | set(map(str.lower, self._mails))
        form = "--format=%(objectname) %(taggerdate:unix) %(taggeremail)"
        found = []
        for line in self._ask("for-each-ref", form, "refs/tags").splitlines():
            tag, date, who = line.split(b" ", 2)
            made, mail = int(date) if date.isdigit() else None, os.fsdecode(who).strip("<>").lower()
            if made is not None and (
                (cloned and made < min(cloned))
                or (mail not in ours and any(made < at for at in fetched))
            ):
                found.append(tag)
        return found

    @property
    def _mails(self) -> list[str]:
        return [*self._ask.values("user.email"), *self._ask.values("committer.email")]

    @functools.cached_property
    def _brought(self) -> list[tuple[bytes, bytes, bool]]:
        """The references that are not of a kind of git's own: what each leads to, its name, and
        whether remotes elsewhere are fetched into it, and none that is here.
        """
        specs = [
            (os.fsencode(spec.rpartition(":")[2]), name in self._elsewhere)
            for name, spec in self._ask.remotes("fetch")
            if ":" in spec
        ]
        found = []
        for commit, _, name in self._references:
            if not name.startswith(_OF_GIT):
                into = {is_there for spec, is_there in specs if _fits(name, spec)}
                found.append((commit, name, into == {True}))
        return found

    def tracked(self) -> list[bytes]:
        """What the branches of remotes lead to that are elsewhere."""
        begin = b"refs/remotes/"
        return [one for one, name, came in self._brought if came and name.startswith(begin)]

    def others(self) -> list[bytes]:
        """The references that no remote elsewhere is fetched into.

        Nothing logs where those were moved: tools keep there what they made here (`refs/wip/…`),
        and what was fetched once from another clone stays when that is gone.
        """
        return [name for _, name, came in self._brought if not came]

    def is_mirror(self) -> bool:
        """Whether a remote elsewhere is fetched into all references; to one that is only pushed
        to, nothing need have gone.
        """
        return any(
            name in self._elsewhere and spec == "+refs/*:refs/*"
            for name, spec in self._ask.remotes("fetch")
        )

    def fetched(self) -> list[bytes]:
        """What the last fetch brought from elsewhere."""
        said = read_plain(os.path.join(self.repository.directory, "FETCH_HEAD")) or b""
        return [
            name
            for line in said.splitlines()
            if _is_hash(name := line.split(b"\t")[0]) and not self._is_here(_source_of(line))
        ]

    def cloned(self) -> list[bytes]:
        """The tags that came with the clone: they are packed, unlike what is made later.

        Once git has packed the references here, which it does with the branches as well, nothing
        tells them apart.
        """
        if not self.are_there or _packed(self.repository, b"refs/heads/"):
            return []
        return _packed(self.repository, b"refs/tags/")

    def logged(self) -> list[bytes]:
        """What the logs say was cloned or fetched from elsewhere."""
        urls = dict(self._urls)
        return [
            move.to.encode()
            for move in self.moves
            if (source := _source_in(move.what)) and not self._is_here(urls.get(source, source))
        ]

    def _is_here(self, url: str) -> bool:
        if url not in self._known:
            self._known[url] = _is_here(url, self.repository, self._place)
        return self._known[url]


def _fits(name: bytes, spec: bytes) -> bool:
    """Whether a reference is one of those that the right side of a refspec names."""
    begin, star, end = spec.partition(b"*")
    if not star:
        return name == spec
    return name.startswith(begin) and name.endswith(end) and len(name) > len(begin + end)


def _source_in(move: str) -> str:
    """From where a line of a log says that it came: `fetch -q origin v1:v1: storing ref`."""
    action, _, rest = move.partition(" ")
    if action == "pull" and not _is_fast_forward(move):
        return ""
    if action == "clone:":
        return rest.removeprefix("from ")
    words = rest.partition(": ")[0].split() if action in ("fetch", "pull") else ()
    return next((word.rstrip(":") for word in words if not word.startswith("-")), "")


def _source_of(line: bytes) -> str:
    """From where a line of `FETCH_HEAD` says that it came: `branch 'main' of ../other`."""
    said = line.split(b"\t", 2)[-1]
    return os.fsdecode(said.rpartition(b"' of ")[2] or said)


def _path_of(url: str, repository: Repository) -> str:
    """The directory that a remote of that `url` is; "" if it is on another system."""
    path = url.removeprefix("file://")
    scheme, colon, _ = path.partition(":")
    if colon and "/" not in scheme:
        return ""  # `https://…`, or `host:path`
    return os.path.join(repository.tree or repository.directory, path)


def _is_here(url: str, repository: Repository, place: str) -> bool:
    """Whether a remote of that `url` may go as `place` may, as scratch does, or has gone."""
    if "\0" in url:
        return True  # nobody can have got it from there
    path = _path_of(url, repository)
    return path != "" and (
        lies_in(path, _scratch_around(place))
        or _is_gone(url, repository, place)
        or _is_scratch(os.path.realpath(path))
    )


def _is_scratch(path: str) -> bool:
    """Whether it lies in any root: its entries may go in the same clean."""
    return OLD_ROOT_NAME in path.split(os.sep) or root_above(path) is not None


def _is_gone(url: str, repository: Repository, place: str) -> bool:
    """Whether the directory no longer exists; what is moved aside with `place` is not gone."""
    path = _path_of(url, repository)
    if not path or any(os.path.lexists(path + suffix) for suffix in ("", ".git")):
        return False
    scratch = _scratch_around(place)
    return not (lies_in(place, os.path.join(scratch, STORE)) and lies_in(path, scratch))


def _scratch_around(place: str) -> str:
    """The root that `place` lies in, or itself."""
    return root_above(place) or place
