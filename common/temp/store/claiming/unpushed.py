"""Commits that are nowhere else: those that came from elsewhere, or are there, do not count.

A remote in scratch, as `git fetch . topic:main` has it, is not elsewhere, nor is one that is gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from ...core.layout import STORE
from ..root.around import root_above
from .repository import Asker, Repository, lies_in, read_plain

_OF_GIT: Final = tuple(
    f"refs/{kind}".encode()
    for kind in ("heads/", "tags/", "remotes/", "notes/", "stash", "bisect/", "prefetch/")
)
"""What git itself names so, which is asked for by other ways, or is of what has other names."""

_NAMES: Final = ("--tags", "--glob=refs/notes", "--glob=refs/bisect")
"""What else than a branch may name a commit that was made here."""

_FETCHED: Final = ("clone:", "fetch", "checkout:", "reset:", "branch:", "pull", "remote", "initial")
"""What the log of a reference says where it was moved to what came from elsewhere."""

_MOST_PACKED: Final = 16 << 20
_HASH: Final = 40
"""How long the shortest name of an object is, of a whole one."""


def unpushed(ask: Asker, place: str) -> int:
    """How many commits there are that did not come from elsewhere and are on no remote branch."""
    origins = _Origins(ask, place)
    fetched = origins.fetched()
    if origins.is_mirror():
        known = fetched + _packed(ask.repository)
        return _count(ask, known, "--exclude=refs/stash", "--all")
    elsewhere = ("--not", *origins.but_for_here, "--remotes")
    asked = (*elsewhere, "--tags")
    if (private := _private(ask)) and (number := _count(ask, fetched, *asked, names=private)):
        return number
    number = _count(ask, fetched, "--exclude=refs/*", "--all", "--branches", *elsewhere)
    if number and not _is_of_one_commit(ask, origins):
        return number
    known = fetched + origins.cloned()
    asked = (*_NAMES, *elsewhere, "--branches")
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
    moves = _moves(ask)
    return bool(moves) and all(move.startswith(_FETCHED) for _, move in moves)


def _private(ask: Asker) -> list[bytes]:
    """The references that are of no kind of git's own, and that no remote is fetched into.

    Nothing logs where those were moved: tools keep there what they made here (`refs/wip/…`).
    """
    names = ask("for-each-ref", "--format=%(refname)").split()
    fetched = tuple(
        os.fsencode(spec.rpartition(":")[2].partition("*")[0])
        for _, spec in ask.remotes("fetch")
        if ":" in spec
    )
    return [name for name in names if not name.startswith((*_OF_GIT, *fetched))]


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


def _moves(ask: Asker) -> list[tuple[str, str]]:
    """What the logs of the references say: to which commit one was moved, and by what."""
    log = ask("log", "--walk-reflogs", "--all", "--format=%H %gs")
    moves = (line.partition(" ")[::2] for line in os.fsdecode(log).splitlines())
    return [(commit, move) for commit, move in moves if move]


class _Origins:
    """Where the commits of a repository come from, as far as its files tell."""

    def __init__(self, ask: Asker, place: str) -> None:
        self._ask = ask
        self._repository = ask.repository
        self._place = place
        self._urls = ask.remotes("url")
        self._known: dict[str, bool] = {}

    @property
    def are_there(self) -> bool:
        """Whether there are remotes, and none of them is gone."""
        return bool(self._urls) and not any(
            _is_gone(url, self._repository, self._place) for _, url in self._urls
        )

    @property
    def but_for_here(self) -> list[str]:
        """The options that leave out the branches of remotes that are not elsewhere."""
        return [f"--exclude={name}/*" for name, url in self._urls if self._is_here(url)]

    def is_mirror(self) -> bool:
        """Whether a remote elsewhere is fetched into all references; to one that is only pushed
        to, nothing need have gone.
        """
        elsewhere = {name for name, url in self._urls if not self._is_here(url)}
        return any(
            name in elsewhere and spec == "+refs/*:refs/*"
            for name, spec in self._ask.remotes("fetch")
        )

    def fetched(self) -> list[bytes]:
        """What the last fetch brought from elsewhere."""
        said = read_plain(os.path.join(self._repository.directory, "FETCH_HEAD")) or b""
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
        if not self.are_there or _packed(self._repository, b"refs/heads/"):
            return []
        return _packed(self._repository, b"refs/tags/")

    def logged(self) -> list[bytes]:
        """What the logs say was cloned or fetched from elsewhere."""
        urls = dict(self._urls)
        return [
            commit.encode()
            for commit, move in _moves(self._ask)
            if (source := _source_in(move)) and not self._is_here(urls.get(source, source))
        ]

    def _is_here(self, url: str) -> bool:
        if url not in self._known:
            self._known[url] = _is_here(url, self._repository, self._place)
        return self._known[url]


def _source_in(move: str) -> str:
    """From where a line of a log says that it came: `fetch -q origin v1:v1: storing ref`."""
    action, _, rest = move.partition(" ")
    if action == "clone:":
        return rest.removeprefix("from ")
    words = rest.split() if action in ("fetch", "pull") else ()
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
    path = _path_of(url, repository)
    return path != "" and (
        lies_in(path, _scratch_around(place)) or _is_gone(url, repository, place)
    )


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
