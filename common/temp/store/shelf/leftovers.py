"""Finishing what killed sweeps left half-done."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from ...core.layouts import BATCH, TRANSFER, place_of
from ..claiming.claim import Held, opened
from ..claiming.many_removals import Remover
from ..claiming.takeover import leftovers
from ..system import at
from ..trees.removed import Removed


def no_transfer(held: Held) -> str:
    """Why a transfer must stay on a shelf, where none belongs: a transfer starts in a root."""
    return "no clean leaves this in an archive; look at it, and move it away"


def finish_leftovers(
    root: Path, remover: Remover, settle: Callable[[Held], str] = no_transfer
) -> tuple[int, Removed]:
    """Delete entries that killed sweeps left claimed in `root`, or on a shelf; return the number of
    entries, and what that freed.

    Entries that they had moved aside but not finished checking are put back. `settle` puts a
    transfer where it belongs, or returns why it must stay.
    Raises `StorageError` if the holding area cannot be read, `Refused` if it is behind a symlink.
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
                elif held.held.startswith(TRANSFER) and (why := settle(held)):
                    total.failures.append((held.place, why))
                    held.close()
                elif there := _not_put_back(held):
                    total.failures += there
                    held.close()
                elif place_of(held.held):
                    held.close()  # it was put back
                else:
                    yield held

        removals = stack.enter_context(contextlib.closing(remover.remove(found())))
        for held, removed in removals:
            held.close()
            # A batch that another clean has just created, and not locked yet, is not a leftover.
            is_new = held.held.startswith(BATCH) and removed.files + removed.directories <= 1
            count += not (removed.failures or is_new)
            removed.failures = [
                (f"{held.place}/{where}".rstrip("/"), what) for where, what in removed.failures
            ]
            total.add(removed)
    return count, total


def _not_put_back(held: Held) -> list[tuple[str, str]]:
    """Put back `held`, or the entries in it if it is a batch, unless they were decided for removal;
    return the places of those that could not be put back, and why.
    """
    with contextlib.ExitStack() as stack:
        found = [held] if place_of(held.held) else []
        if held.held.startswith(BATCH):
            try:
                batch = opened(stack, held.held, parent=held.holding)
                names = at.listdir(batch)
            except OSError:
                return []  # the removal says why
            found = [Held(held.root, batch, name, stack, held.top) for name in names]
        failures = []
        for one in found:
            one.batch = held.held if one is not held else ""
            if path := place_of(one.held):
                elsewhere = one.give_place(path)
                with contextlib.suppress(FileNotFoundError):
                    at.stat(one.held, dir_fd=one.holding, follow_symlinks=False)
                    why = f"was moved aside by a clean that was killed{elsewhere}"
                    failures.append((one.place, why))
        return failures
