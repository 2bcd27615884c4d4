"""The `Owner` objects of this process; `Owner` itself is imported only when an entry is made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .owner_kinds import PLAIN, Book

if TYPE_CHECKING:
    from .owning import Owner

owners: dict[tuple[str, Book], Owner] = {}
"""By root and book. After a fork, it may still hold owners of the parent process."""


def forks_of_own() -> dict[str, int]:
    """How many children were forked from each owner of this process, by owner file name."""
    mine = (owner for owner in tuple(owners.values()) if owner.pid == os.getpid())
    return {owner.id: owner.forks for owner in mine}


def own(root: str, book: Book = PLAIN) -> Owner | None:
    """The calling process's owner in `root`, if it has one."""
    owner = owners.get((root, book))
    return owner if owner is not None and owner.pid == os.getpid() else None
