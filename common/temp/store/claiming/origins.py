"""Where the commits, tags and other objects of a repository come from, as far as its files tell.

A remote in scratch, as `git fetch . topic:main` has it, is not elsewhere, nor is one that is gone.
"""

from __future__ import annotations

import functools
import os
import re
from typing import Final, NamedTuple

from ...core.layouts import STORE
from ..project.project import OLD_ROOT_NAME
from ..root.around import root_above
from ..system.birth import born_at
from .brought import Brought
from .repository import Asker, Repository, is_object, lies_in, read_plain
from .rewritten import Rewriting

_OF_GIT: Final = tuple(
    f"refs/{kind}".encode()
    for kind in ("heads/", "tags/", "notes/", "stash", "bisect/", "prefetch/")
)
"""What git itself names so: nothing is fetched into these but by name."""

_SSH: Final = re.compile(r"(?:git\+)?ssh(?:\+git)?://", re.IGNORECASE)

_MOST_PACKED: Final = 16 << 20

_CLONED_WITHIN: Final = 2.0
"""How many seconds after the first line of its log a clone may have packed its references."""


class Reference(NamedTuple):
    """A reference: to what it leads, of which kind that is, its name, and whether a fetch brings it
    from remotes elsewhere, and from none that is here.
    """

    to: bytes
    kind: bytes
    name: bytes
    came: bool

    @property
    def is_tag(self) -> bool:
        """Whether it is a tag, annotated or not."""
        return self.name.startswith(b"refs/tags/")


def _packed(repository: Repository, begin: bytes = b"") -> list[bytes]:
    """What the packed references lead to whose names `begin` so."""
    packed = read_plain(os.path.join(repository.common, "packed-refs"), _MOST_PACKED) or b""
    lines = (line.split(b" ") for line in packed.splitlines() if line[:1] not in (b"#", b"^"))
    return [
        line[0]
        for line in lines
        if len(line) == 2 and is_object(line[0]) and line[1].startswith(begin)
    ]


class Origins:
    """Where the commits of a repository come from, as far as its files tell."""

    def __init__(self, ask: Asker, place: str) -> None:
        self._ask = ask
        self.repository = ask.repository
        self._place = place
        self._rewriting = Rewriting(ask.used_settings)
        # What is pushed becomes known as a branch of the remote as well, wherever it went.
        own, other = ask.remotes("url"), ask.remotes("pushurl")
        pushed = {name for name, _ in other}
        self._urls = [(name, self._rewriting.fetched_from(url)) for name, url in own + other]
        to = [(name, self._rewriting.pushed_to(url)) for name, url in own if name not in pushed]
        self._known: dict[str, bool] = {}
        here = {name for name, url in self._urls + to if self._is_here(url)}
        self._elsewhere = {name for name, _ in own} - here
        self._brought = Brought(self.repository, self._is_here_as_used, {name for name, _ in own})

    @property
    def are_there(self) -> bool:
        """Whether there are remotes, and none of them is gone."""
        return bool(self._urls) and not any(
            _is_gone(url, self.repository, self._place) for _, url in self._urls
        )

    @functools.cached_property
    def references(self) -> list[Reference]:
        """All references, of which kind ever."""
        specs = [
            (os.fsencode(spec.rpartition(":")[2]), name in self._elsewhere)
            for name, spec in self._ask.remotes("fetch")
            if ":" in spec
        ]
        form, found = "--format=%(objectname) %(objecttype) %(refname)", []
        for line in self._ask("for-each-ref", form).splitlines():
            to, kind, name = line.split(b" ", 2)
            into = {is_there for spec, is_there in specs if _fits(name, spec)}
            came = into == {True} and not name.startswith(_OF_GIT)
            found.append(Reference(to, kind, name, came))
        return found

    def tracked(self) -> list[bytes]:
        """What the branches of remotes lead to that are elsewhere."""
        begin = b"refs/remotes/"
        return [
            one.to
            for one in self.references
            if one.came
            and one.name.startswith(begin)
            and not self._brought.is_from_here(one.name, one.to)
        ]

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
        return [name for name, is_here in self._brought.fetched.items() if not is_here]

    def packed(self) -> list[bytes]:
        """What the packed references of a mirror lead to, unless its remote may be another now."""
        return _packed(self.repository) if self._brought.is_packed_anew else []

    def cloned(self) -> list[bytes]:
        """The tags that came with the clone: it packs them, and nothing has packed any since."""
        if self._brought.is_clone_from_here or not self._is_as_cloned():
            return []
        return _packed(self.repository, b"refs/tags/")

    def _is_as_cloned(self) -> bool:
        """Whether the packed references are those of the clone, as far as the filesystem tells.

        They are replaced by a new file each time. A clone packs them before it sets its heads, and
        before anything is logged.
        """
        git = self.repository.common
        born, began = born_at(os.path.join(git, "packed-refs")), self._brought.began
        if born is None or began is None or not self.are_there:
            return False
        heads = [os.path.join(git, name) for name in ("HEAD", "logs/HEAD")]
        heads += [f"{git}/refs/remotes/{name}/HEAD" for name, _ in self._urls]
        set_at = [at for head in heads if (at := born_at(head)) is not None]
        return born <= min(set_at, default=0.0) and born <= began + _CLONED_WITHIN

    def _is_here_as_used(self, url: str) -> bool:
        return self._is_here(self._rewriting.fetched_from(url))

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


def _path_of(url: str, repository: Repository) -> str:
    """The directory that a remote of that `url` is; "" if it is on another system."""
    path = url.removeprefix("file://")
    scheme, colon, _ = path.partition(":")
    if colon and "/" not in scheme:
        return _path_by_ssh(url)  # or `https://…`, whose server has a directory of its own
    return os.path.join(repository.tree or repository.directory, path)


def _path_by_ssh(url: str) -> str:
    """The directory on this system that a remote by ssh is; "" if there is none."""
    host, _, path = url.partition(":")
    if (scheme := _SSH.match(url)) is not None:
        host, _, path = url[scheme.end() :].partition("/")
        host, path = re.sub(r":\d*$", "", host), path if path[:2] == "~/" else f"/{path}"
    host = host.rpartition("@")[2].strip("[]").lower()
    if not (host in {"localhost", "::1", *_names_of_host()} or host.startswith("127.")):
        return ""
    found = os.path.join(os.path.expanduser("~"), path.removeprefix("~/"))
    return found if _has_repository(found) else ""


def _names_of_host() -> set[str]:
    name = os.uname().nodename.lower() if hasattr(os, "uname") else ""
    return {name, name.partition(".")[0], f"{name.partition('.')[0]}.local"}


def _has_repository(path: str) -> bool:
    """Whether a repository, or a bundle of one, is at that path as git looks for it."""
    return os.path.isfile(path) or any(
        os.path.lexists(os.path.join(path + suffix, "HEAD"))
        or os.path.lexists(os.path.join(path + suffix, ".git"))
        for suffix in ("", ".git")
    )


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
    """Whether no repository is there any more; what is moved aside with `place` is not gone."""
    path = _path_of(url, repository)
    if not path or _has_repository(path):
        return False
    scratch = _scratch_around(place)
    return not (lies_in(place, os.path.join(scratch, STORE)) and lies_in(path, scratch))


def _scratch_around(place: str) -> str:
    """The root that `place` lies in, or itself."""
    return root_above(place) or place
