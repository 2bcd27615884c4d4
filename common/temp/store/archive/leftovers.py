"""Finishes what killed sweeps left half-done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ...core.layout import TRANSFER
from ..claiming.claim import Held
from ..claiming.many import Remover
from ..claiming.takeover import leftovers
from ..trees.removed import Removed

_NO_TRANSFER = "no clean leaves this in an archive; look at it, and move it away"


def finish_leftovers(
    root: Path, remover: Remover, archive: Path | None = None, *, is_archive: bool = False
) -> tuple[int, Removed]:
    """Delete what killed sweeps left claimed in `root`: the number of entries, and what it freed.

    What was on its way into `archive` or back is put where it belongs. `root` can be an archive
    itself: an archive never holds transfers into another.
    Raises `StorageError` if the holding area cannot be read, `Refused` if it lies behind a symlink.
    """
    count = 0
    total = Removed()
    with contextlib.ExitStack() as stack:

        def found() -> Iterator[Held]:
            for held in leftovers(root, stack):
                stack.callback(held.close)
                if held.mounted is not None:
                    where = f"{held.place}/{held.mounted}".rstrip("/")
                    total.failures.append((where, "is a mount point; unmount it"))
                    held.close()
                elif held.held.startswith(TRANSFER) and (
                    why := _NO_TRANSFER if is_archive else _settle(held, archive)
                ):
                    total.failures.append((held.place, why))
                    held.close()
                else:
                    yield held

        removals = stack.enter_context(contextlib.closing(remover.remove(found())))
        for held, removed in removals:
            held.close()
            count += not removed.failures
            removed.failures = [
                (f"{held.place}/{where}".rstrip("/"), what) for where, what in removed.failures
            ]
            total.add(removed)
    return count, total


def tidy(archive: Path, remover: Remover) -> tuple[int, Removed]:
    """Finish in `archive` what killed sweeps left there; see `finish_leftovers`."""
    from .reservation import forget_stale

    finished = finish_leftovers(archive, remover, is_archive=True)
    forget_stale(archive)
    return finished


def _settle(held: Held, archive: Path | None) -> str:
    from .transfer import settle  # few roots ever need it

    return settle(held, archive)
