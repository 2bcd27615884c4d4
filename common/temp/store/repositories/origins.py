"""Finds out from the files of a repository where its commits, tags and other objects come from.

A remote in scratch, such as the one of `git fetch . topic:main`, does not count as elsewhere, nor
does a remote that is gone.
"""

from __future__ import annotations

import functools
import os
import re
from typing import Final, NamedTuple

from ...core.layouts import STORE
from ..project.project import OLD_ROOT_NAME
from ..root.containing_entry import root_above
from ..system.creation_time import born_at
from .reflogs import Brought
from .repository import Asker, Repository, is_object, lies_in, read_plain
from .rewritten_addresses import Rewriting

_OF_GIT: Final = tuple(
    f"refs/{kind}".encode()
    for kind in ("heads/", "tags/", "notes/", "stash", "bisect/", "prefetch/")
)
"""References of git itself: a fetch updates them only if they are given by name."""

_SSH: Final = re.compile(r"(?:git\+)?ssh(?:\+git)?://", re.IGNORECASE)

_MOST_PACKED: Final = 16 << 20

_CLONED_WITHIN: Final = 2.0
"""How many seconds after its first reflog entry a clone may have packed its references."""


class Reference(NamedTuple):
    """A reference: the object that it points to, the type of that, its name, and whether fetches
    bring it only from remotes elsewhere.
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
    """The objects of the packed references whose names begin with `begin`."""
    packed = read_plain(os.path.join(repository.common, "packed-refs"), _MOST_PACKED) or b""
    lines = (line.split(b" ") for line in packed.splitlines() if line[:1] not in (b"#", b"^"))
    return [
        line[0]
        for line in lines
        if len(line) == 2 and is_object(line[0]) and line[1].startswith(begin)
    ]


class Origins:
    """Tells from the files of a repository where its commits come from."""

    def __init__(self, ask: Asker, place: str) -> None:
        self._ask = ask
        self.repository = ask.repository
        self._place = place
        self._rewriting = Rewriting(ask.used_settings)
        # A push updates the remote-tracking branch too, whichever address it went to.
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
        """All references, of any kind."""
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
        """The objects of the remote-tracking branches of remotes elsewhere."""
        begin = b"refs/remotes/"
        return [
            one.to
            for one in self.references
            if one.came
            and one.name.startswith(begin)
            and not self._brought.is_from_here(one.name, one.to)
        ]

    def is_mirror(self) -> bool:
        """Whether all references are fetched from a remote elsewhere. A push mirror does not count:
        maybe nothing was pushed to it.
        """
        return any(
            name in self._elsewhere and spec == "+refs/*:refs/*"
            for name, spec in self._ask.remotes("fetch")
        )

    def fetched(self) -> list[bytes]:
        """The objects that the last fetch brought from elsewhere."""
        return [name for name, is_here in self._brought.fetched.items() if not is_here]

    def packed(self) -> list[bytes]:
        """The objects of a mirror's packed references; none if its remote may be another now."""
        return _packed(self.repository) if self._brought.is_packed_anew else []

    def cloned(self) -> list[bytes]:
        """The tags that came with the clone, which packed them; none if references were packed
        again since.
        """
        if self._brought.is_clone_from_here or not self._is_as_cloned():
            return []
        return _packed(self.repository, b"refs/tags/")

    def _is_as_cloned(self) -> bool:
        """Whether the packed references are still those of the clone, judging by creation times.

        Packing always writes a new file. A clone packs before it sets its heads, and before it
        writes any reflog.
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
    """Whether a reference matches `spec`, the right side of a refspec."""
    begin, star, end = spec.partition(b"*")
    if not star:
        return name == spec
    return name.startswith(begin) and name.endswith(end) and len(name) > len(begin + end)


def _path_of(url: str, repository: Repository) -> str:
    """The directory of the remote with that `url`; "" if it is on another system."""
    path = url.removeprefix("file://")
    scheme, colon, _ = path.partition(":")
    if colon and "/" not in scheme:
        return _path_by_ssh(url)  # "" for `https://…`, whose paths are not those of this system
    return os.path.join(repository.tree or repository.directory, path)


def _path_by_ssh(url: str) -> str:
    """The directory of an ssh remote that is on this very system; "" if there is none."""
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
    """Whether a repository or a bundle is at that path, as git resolves it."""
    return os.path.isfile(path) or any(
        os.path.lexists(os.path.join(path + suffix, "HEAD"))
        or os.path.lexists(os.path.join(path + suffix, ".git"))
        for suffix in ("", ".git")
    )


def _is_here(url: str, repository: Repository, place: str) -> bool:
    """Whether the remote with that `url` is in scratch, so that a clean may remove it, or gone."""
    if "\0" in url:
        return True  # nothing can come from there
    path = _path_of(url, repository)
    return path != "" and (
        lies_in(path, _scratch_around(place))
        or _is_gone(url, repository, place)
        or _is_scratch(os.path.realpath(path))
    )


def _is_scratch(path: str) -> bool:
    """Whether `path` is in any root: a clean may remove it at the same time."""
    return OLD_ROOT_NAME in path.split(os.sep) or root_above(path) is not None


def _is_gone(url: str, repository: Repository, place: str) -> bool:
    """Whether the repository at `url` no longer exists; if moved with `place`, it is not gone."""
    path = _path_of(url, repository)
    if not path or _has_repository(path):
        return False
    scratch = _scratch_around(place)
    return not (lies_in(place, os.path.join(scratch, STORE)) and lies_in(path, scratch))


def _scratch_around(place: str) -> str:
    """The root that contains `place`, or `place` itself."""
    return root_above(place) or place
