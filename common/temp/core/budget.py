"""Compares the scratch in use with a budget."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import Literal, NamedTuple


class Budget(NamedTuple):
    """Limits for all scratch together: its size in bytes, free bytes on the disk, entries, files
    and directories, and the seconds an entry may be unchanged.
    """

    max_size: int | None = None
    min_free: int | None = None
    max_entries: int | None = None
    max_files: int | None = None
    max_age: float | None = None

    @property
    def has_limit(self) -> bool:
        """Whether any limit is set."""
        return any(limit is not None for limit in self)


class Usage(NamedTuple):
    """What one or several roots use. For several, `free` is the least free space on any of their
    filesystems, if known, and `root` the one on that filesystem. `oldest` is the age of the oldest
    entry, in seconds.
    """

    size: int = 0
    free: int | None = None
    entries: int = 0
    root: str = ""
    inodes: int = 0
    oldest: float = 0.0


class Excess(NamedTuple):
    """An exceeded limit: what was found, and what the limit allows or asks for."""

    limit: Literal["max size", "min free", "max entries", "max files", "max age"]
    found: int
    allowed: int


def together(usages: Iterable[Usage]) -> Usage:
    """The combined usage of several roots, none of which is inside another."""
    whole = Usage()
    for usage in usages:
        free, root = whole.free, whole.root
        if usage.free is not None and (free is None or usage.free < free):
            free, root = usage.free, usage.root
        whole = Usage(
            whole.size + usage.size,
            free,
            whole.entries + usage.entries,
            root,
            whole.inodes + usage.inodes,
            max(whole.oldest, usage.oldest),
        )
    return whole


def excesses(budget: Budget, usage: Usage) -> tuple[Excess, ...]:
    """The limits of `budget` that `usage` exceeds; usage equal to a limit is within it."""
    found: list[Excess] = []
    if budget.max_size is not None and usage.size > budget.max_size:
        found.append(Excess("max size", usage.size, budget.max_size))
    if budget.min_free is not None and usage.free is not None and usage.free < budget.min_free:
        found.append(Excess("min free", usage.free, budget.min_free))
    if budget.max_entries is not None and usage.entries > budget.max_entries:
        found.append(Excess("max entries", usage.entries, budget.max_entries))
    if budget.max_files is not None and usage.inodes > budget.max_files:
        found.append(Excess("max files", usage.inodes, budget.max_files))
    if budget.max_age is not None and usage.oldest > budget.max_age:
        found.append(Excess("max age", ceil(usage.oldest), int(budget.max_age)))
    return tuple(found)
