"""Finishes the leftovers of killed sweeps in a root, including transfers to or from its archive."""

from __future__ import annotations

from pathlib import Path

from ..claiming.claim import Held
from ..claiming.many_removals import Remover
from ..shelf.leftovers import finish_leftovers
from ..trees.removed import Removed
from .archives import Archive


def finish_root(
    root: Path, remover: Remover, archive: Archive | None = None
) -> tuple[int, Removed]:
    """Finish the leftovers of killed sweeps in `root`; see `finish_leftovers`.

    Interrupted transfers to or from `archive` are settled.
    """

    def settle(held: Held) -> str:
        from .transfer import settle  # few roots ever need it

        return settle(held, archive)

    return finish_leftovers(root, remover, settle)
