"""Finishes what killed sweeps left half-done in a root, or on its way into its archive or back."""

from __future__ import annotations

from pathlib import Path

from ..claiming.claim import Held
from ..claiming.many import Remover
from ..shelf.leftovers import finish_leftovers
from ..trees.removed import Removed
from .archives import Archive


def finish_root(
    root: Path, remover: Remover, archive: Archive | None = None
) -> tuple[int, Removed]:
    """Finish what killed sweeps left in `root`; see `finish_leftovers`.

    What was on its way into `archive` or back is put where it belongs.
    """

    def settle(held: Held) -> str:
        from .transfer import settle  # few roots ever need it

        return settle(held, archive)

    return finish_leftovers(root, remover, settle)
