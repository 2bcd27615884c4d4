"""A shelf as an object: a local directory of entries, each with a manifest beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from ..root.listing import list_leftovers
from .listing import Archived, list_shelf

if TYPE_CHECKING:
    from ...core.entry import Leftover
    from ...core.plan import Outcome, Step
    from ..claiming.many_removals import Remover
    from ..trees.removed import Removed


class Shelf:
    """The shelf in the directory `path`, which may not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def location(self) -> str:
        """Its absolute path."""
        return os.path.abspath(self.path)

    def listed(self, root: Path) -> list[Archived]:
        """The archived entries in it, oldest first; see `list_shelf`."""
        return list_shelf(self.path, root)

    def locked(self, archived: Archived) -> AbstractContextManager[None]:
        """Keep other processes from deleting or restoring `archived` meanwhile."""
        from .putting import locked

        return locked(self.path, archived)

    def drop_all(
        self,
        steps: Iterable[Step],
        remover: Remover | None,
        objection: Callable[[Step], str],
        *,
        spare_in_use: bool,
    ) -> Iterator[Outcome]:
        """Delete the entries of `steps`; see `dropping.drop_all`."""
        from .dropping import drop_all

        return drop_all(self.path, steps, remover, objection, spare_in_use=spare_in_use)

    def leftovers(self) -> list[Leftover]:
        """The leftovers of killed sweeps."""
        return list_leftovers(self.path) if self.path.is_dir() else []

    def tidy(self, remover: Remover) -> tuple[int, Removed]:
        """Delete the leftovers of killed sweeps; return their number, and what that freed.

        Raises `StorageError` or `Refused`.
        """
        from ..trees.removed import Removed
        from .leftovers import finish_leftovers
        from .reservation import forget_stale

        if not self.path.is_dir():
            return 0, Removed()
        finished = finish_leftovers(self.path, remover)
        forget_stale(self.path)
        return finished
