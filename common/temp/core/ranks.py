"""The ranks of entries among those of the same label; failed runs do not count before good ones."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from operator import attrgetter
from typing import Final

from .entry import FAILED, Ending, Entry
from .named_tuple import NamedTuple

_WORTH: Final[Mapping[Ending, tuple[int, int]]] = {
    "": (2, 2),
    "success": (2, 2),
    "running": (2, 1),
    "unknown": (1, 1),
    **dict.fromkeys(FAILED, (0, 0)),
}
"""The worth of a run by its ending: when a limit counts runs, and as a good result."""


_ENDING: Final = attrgetter("ending")


class Ranks(NamedTuple):
    """The ranks of all entries, by their index.

    `rank` counts from 1 for the newest `of` its group, and `good_rank` does the same for good
    results. Each counts only entries of at least the same worth: a failed run does not displace a
    good one, and a run that may be good does not displace one that is. An entry with a time in the
    future, or one that a clean began to remove, displaces nothing.
    """

    rank: list[int]
    of: list[int]
    good_rank: list[int]


def ranks_of(
    entries: Sequence[Entry], groups: Sequence[Hashable], newest_first: Sequence[int]
) -> Ranks:
    """The ranks of `entries` in their `groups`; `newest_first` are their indices in that order."""
    counts = [not (entry.future or entry.unfinished) for entry in entries]
    if all(counts) and not any(map(_ENDING, entries)):  # as in most roots, with many more entries
        rank, of = _counted(groups, newest_first)
        return Ranks(rank, of, rank)
    worth = [_WORTH[entry.ending] for entry in entries]
    rank, of = _ranked([counted for counted, _ in worth], counts, groups, newest_first)
    good_rank, _ = _ranked([good for _, good in worth], counts, groups, newest_first)
    return Ranks(rank, of, good_rank)


def _counted(
    groups: Sequence[Hashable], newest_first: Sequence[int]
) -> tuple[list[int], list[int]]:
    """For each index, the number of entries in its group that are as new or newer, and of all."""
    counts = dict.fromkeys(groups, 0)
    rank = [0] * len(groups)
    for index in newest_first:
        group = groups[index]
        counts[group] = rank[index] = counts[group] + 1
    return rank, [counts[group] for group in groups]


def _ranked(
    worth: Sequence[int],
    counts: Sequence[bool],
    groups: Sequence[Hashable],
    newest_first: Sequence[int],
) -> tuple[list[int], list[int]]:
    """For each index, the number of entries in its group of at least its worth: as new or newer,
    and of all. Of the newer ones, only those that `counts` selects are counted.
    """
    newer: dict[Hashable, list[int]] = {}
    seen: dict[Hashable, list[int]] = {}
    rank = [0] * len(worth)
    for index in newest_first:
        group, least = groups[index], worth[index]
        before = newer.setdefault(group, [0, 0, 0])
        rank[index] = sum(before[least:]) + 1
        before[least] += counts[index]
        seen.setdefault(group, [0, 0, 0])[least] += 1
    of = [sum(seen[group][least:]) for group, least in zip(groups, worth, strict=True)]
    return rank, of
