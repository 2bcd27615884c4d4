"""Finds out from the reflogs of a repository which addresses its references came from.

The address in the configuration may be newer than the references: `git remote set-url` changes only
that one line.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable
from typing import Final

from .repository import Repository, is_object, read_plain

_LONGEST: Final = 1 << 12
"""The most bytes read of the first line of a reflog."""

_MOST_LOGGED: Final = 16 << 20

_CLONED: Final = b"clone: from "


class Brought:
    """Tells what came by a clone or the last fetch from a repository that `is_here`: one that is in
    scratch or gone.

    `remotes` are the names of all remotes.
    """

    def __init__(
        self, repository: Repository, is_here: Callable[[str], bool], remotes: Iterable[str]
    ) -> None:
        self._repository = repository
        self._is_here = is_here
        self._remotes = remotes

    @property
    def began(self) -> int | None:
        """The time of the first reflog entry of the repository; `None` if there is none."""
        words = self._first("HEAD")[0].split()
        return int(words[-2]) if len(words) > 2 and words[-2].isdigit() else None

    @functools.cached_property
    def is_clone_from_here(self) -> bool:
        """Whether it is a clone of a repository that is in scratch or gone."""
        logs = ("HEAD", *(f"refs/remotes/{name}/HEAD" for name in self._remotes))
        said = (self._first(name)[1].strip() for name in logs)
        return any(
            self._is_here(os.fsdecode(one[len(_CLONED) :]))
            for one in said
            if one.startswith(_CLONED)
        )

    @functools.cached_property
    def fetched(self) -> dict[bytes, bool]:
        """The objects that the last fetch brought, each with whether it came from here alone."""
        found: dict[bytes, bool] = {}
        said = read_plain(os.path.join(self._repository.directory, "FETCH_HEAD")) or b""
        for line in said.splitlines():
            if is_object(name := line.split(b"\t")[0]):
                found[name] = found.get(name, True) and self._is_here(_source_of(line))
        return found

    def is_from_here(self, name: bytes, to: bytes) -> bool:
        """Whether the remote-tracking branch `name`, which points `to` that object, may have come
        from here: with the clone, or by a push or fetch before the configuration last changed.
        """
        at = self._last_logged(name)
        if at is None:
            return self.is_clone_from_here
        is_suspect = self.is_clone_from_here or self.fetched.get(to, False)
        return is_suspect and at < self._configured

    @functools.cached_property
    def is_packed_anew(self) -> bool:
        """Whether references were packed since the configuration was last changed."""
        with contextlib.suppress(OSError):
            packed = os.stat(os.path.join(self._repository.common, "packed-refs")).st_mtime
            return packed >= self._configured
        return False

    @functools.cached_property
    def _configured(self) -> float:
        with contextlib.suppress(OSError):
            return os.stat(os.path.join(self._repository.common, "config")).st_mtime
        return float("inf")

    def _log(self, name: str) -> str:
        return os.path.join(self._repository.common, "logs", name)

    def _first(self, name: str) -> tuple[bytes, bytes]:
        """The first reflog entry of that name: the author with the time, and the message."""
        first = (read_plain(self._log(name), _LONGEST) or b"").partition(b"\n")[0]
        who, tab, what = first.partition(b"\t")
        return (who, what) if tab else (b"", b"")

    def _last_logged(self, name: bytes) -> float | None:
        """The latest possible time of the last reflog entry of that name; `None` without one."""
        log = self._log(os.fsdecode(name))
        lines = (read_plain(log, _MOST_LOGGED) or b"").splitlines()
        words = lines[-1].partition(b"\t")[0].split() if lines else []
        if len(words) < 2 or not words[-2].isdigit():
            return None
        with contextlib.suppress(OSError):
            return min(int(words[-2]) + 1.0, os.stat(log).st_mtime)  # gc rewrites logs
        return None


def _source_of(line: bytes) -> str:
    """The source in a line of `FETCH_HEAD`, such as `../other` in `branch 'main' of ../other`."""
    said = line.split(b"\t", 2)[-1]
    return os.fsdecode(said.rpartition(b"' of ")[2] or said)
