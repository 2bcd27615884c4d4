"""The processes that work in one directory, looked up repeatedly during a clean."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

from ...core.entry import Use
from ...core.layouts import is_inside
from .processes import processes_around

_RELIED_ON_SECONDS: Final = 1.0


class AtWork:
    """The processes that work below one directory; a result is reused for one second."""

    def __init__(
        self, directory: Path, bystanders: Callable[[], Collection[str]] = frozenset
    ) -> None:
        """`bystanders` returns the pids of processes that do not need the files around them."""
        self._directory = directory
        self._bystanders = bystanders
        self._found: dict[str, Use] = {}
        self._needed: dict[str, Use] = {}
        self._looked_at = float("-inf")

    def inside(self, path: str) -> str:
        """A clause about the processes that work in `path`; "" if there are none."""
        self._look()
        return next((_spell(use) for at, use in self._found.items() if is_inside(at, path)), "")

    def around(self, path: str) -> str:
        """As `inside`, without the bystanders; a `path` of "" means the whole directory."""
        self._look()
        needed = self._needed.items()
        return next((_spell(use) for at, use in needed if not path or is_inside(at, path)), "")

    def above(self, path: str) -> Iterator[tuple[str, str]]:
        """The directories above `path` in which a process works that is not a bystander, each with
        a clause about that process.
        """
        self._look()
        return ((at, _spell(use)) for at, use in self._needed.items() if _is_above(at, path))

    def _look(self) -> None:
        if time.monotonic() - self._looked_at > _RELIED_ON_SECONDS:
            self._found, self._needed = processes_around(self._directory, self._bystanders())
            self._looked_at = time.monotonic()


def _is_above(directory: str, path: str) -> bool:
    return directory != path and (not directory or is_inside(path, directory))


def _spell(use: Use) -> str:
    return f"in use: {use.who}"
