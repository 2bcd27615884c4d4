"""The input of the rules: each entry with its policy, its rank and sums over other entries."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import repeat
from typing import TypeVar

from .entry import Entry
from .links import freed, once
from .named_tuple import NamedTuple
from .policy import SUMMED_LIMITS, Policy
from .ranks import ranks_of
from .reasons import Reason


class Disk(NamedTuple):
    """The filesystem of the entries. `free` bytes are free, `capacity` bytes are used or free, and
    `coming` bytes get free before any entry goes.

    `by_cost` is whether entries differ in cost. `wanted` is how many free bytes the water marks ask
    for.
    """

    free: int | None
    capacity: int | None
    coming: int
    by_cost: bool = False
    wanted: int | None = None


class Case(NamedTuple):
    """The input of a rule: an entry, its policy, its rank and sums over other entries.

    `rank`, `of` and `good_rank` are its place in its category and label; see `Ranks`. `sums` has,
    for each of `SUMMED_LIMITS`, the total of the entry and all newer ones of the root, and the same
    for its category alone; a file with several names counts once, and both are 0 if no such limit
    is set. `sooner_bytes` is how much would be freed before this entry if space is low.
    """

    entry: Entry
    policy: Policy
    base: Policy
    age: float
    disk: Disk
    rank: int
    of: int
    sums: tuple[tuple[int, int], ...]
    sooner_bytes: int
    good_rank: int = 0

    @property
    def where(self) -> str:
        """A clause after the age, with the event that it counts from; "" for a change at the top of
        the entry.
        """
        entry = self.entry
        if entry.changed < entry.arrived or entry.changed < entry.used:
            return ", last used" if entry.used > entry.arrived else ", arrived"
        inside = entry.changed_in
        newest = "changed" if entry.partial else "newest change"
        return f", {newest} in {inside}" if inside else ""

    @property
    def place(self) -> str:
        """The rank in words: `2nd newest of 5 demo`."""
        good = "good " if self.entry.ending == "success" else ""
        return f"{spell_rank(self.rank)} of {self.of} {good}{self.entry.label}"


@lru_cache(maxsize=1024)
def spell_rank(rank: int) -> str:
    """The rank in words, such as `2nd newest`."""
    ending = "th" if 10 <= rank % 100 <= 20 else _ENDINGS.get(rank % 10, "th")
    return "newest" if rank == 1 else f"{rank}{ending} newest"


_ENDINGS = {1: "st", 2: "nd", 3: "rd"}

Protection = Callable[[Case], "Reason | None"]
"""Returns the reason of a protection for an entry; `None` if it does not apply."""

Silence = Callable[[], "Reason"]
"""Returns the reason of a limit that does not choose an entry. Few of these are ever shown."""

Limit = Callable[[Case], "Reason | Silence | None"]
"""Returns why a limit chooses an entry, or a `Silence`; `None` if it does not apply."""

Rule = TypeVar("Rule", Limit, Protection)
Rules = Mapping[Rule, tuple[str, ...]]
"""Rules, each with the policy fields it depends on: it is asked only if one of them is set. A rule
without fields is always asked.
"""


def asked(rules: Rules[Rule], *policies: Policy) -> tuple[Rule, ...]:
    """The `rules` that may apply under one of the `policies`."""
    unset = Policy()
    return tuple(
        rule
        for rule, fields in rules.items()
        if not fields
        or any(
            getattr(policy, field) != getattr(unset, field)
            for policy in policies
            for field in fields
        )
    )


def cases_of(entries: Sequence[Entry], policy: Policy, now: float, disk: Disk) -> Iterator[Case]:
    """The case of each entry, in the given order.

    Iterates over the entries in memory order, and over plain numbers in order of age: with 100,000
    entries, the reverse takes twice as long.
    """
    categories = [entry.category for entry in entries]
    groups = [(entry.category, entry.label) for entry in entries]
    newness = [entry.last for entry in entries]
    order = _newest_first(entries, newness)
    ranks = ranks_of(entries, groups, order)
    policies = {category: policy.of(category) for category in dict.fromkeys(categories)}
    costs = {category: own.cost for category, own in policies.items()}
    disk = disk._replace(
        by_cost=len(set(costs.values())) > 1,
        wanted=None if disk.free is None else policy.wanted_by_marks(disk.free, disk.capacity),
    )
    sooner_bytes: Iterable[int] = repeat(0)
    if policy.min_free_space is not None or policy.high_water is not None:
        order_of_loss = order[::-1]
        if disk.by_cost:
            order_of_loss.sort(key=lambda index: costs[categories[index]])
        sooner_bytes = _bytes_before(entries, order_of_loss)
    columns = zip(
        entries,
        [policies[category] for category in categories],
        repeat(policy),
        [max(0.0, now - changed) for changed in newness],
        repeat(disk),
        ranks.rank,
        ranks.of,
        zip(*(_sums(limit, entries, policy, order) for limit in SUMMED_LIMITS), strict=False),
        sooner_bytes,
        ranks.good_rank,
        strict=False,
    )
    return map(partial(tuple.__new__, Case), columns)  # `Case(…)` takes three times as long


def _newest_first(entries: Sequence[Entry], newness: Sequence[float]) -> list[int]:
    """The indices of the entries, newest first."""
    order = list(range(len(entries)))
    if len(set(newness)) < len(order):
        # Copied or unpacked entries may all have the same time: the stamp in the path decides.
        order.sort(key=[entry.path for entry in entries].__getitem__, reverse=True)
    order.sort(key=newness.__getitem__, reverse=True)
    return order


def _sums(
    limit: str, entries: Sequence[Entry], policy: Policy, order: Sequence[int]
) -> Iterable[tuple[int, int]]:
    """For each entry, the total of it and all newer ones: in the root, and in its category."""
    policies = (policy, *(own for _, own in policy.categories))
    if all(getattr(one, limit) is None for one in policies):
        return repeat((0, 0))
    amount = SUMMED_LIMITS[limit]
    sums = []
    amounts = list(map(amount.of_tree, entries))
    linked = {index for index, entry in enumerate(entries) if entry.links}
    shared = [index for index in order if index in linked] if linked else []
    for groups in ([""] * len(entries), [entry.category for entry in entries]):
        alike: dict[str, list[int]] = {}
        for index in shared:
            alike.setdefault(groups[index], []).append(index)
        added = amounts.copy()
        for members in alike.values():
            more = once([entries[index] for index in members], amount)
            for index, its in zip(members, more, strict=True):
                added[index] = its
        sums.append(_running(added, groups, order))
    return zip(*sums, strict=True)


def _running(amounts: Sequence[int], groups: Sequence[Hashable], order: Sequence[int]) -> list[int]:
    """For each index, the sum of the amounts in its group up to and including it, in `order`."""
    totals = [0] * len(order)
    sums = dict.fromkeys(groups, 0)
    for index in order:
        group = groups[index]
        sums[group] = totals[index] = sums[group] + amounts[index]
    return totals


def _bytes_before(entries: Sequence[Entry], order: Sequence[int]) -> list[int]:
    """For each index, how many bytes the entries before it in `order` would free."""
    totals = [0] * len(order)
    sooner = 0
    for index, more in zip(order, freed([entries[at] for at in order]), strict=True):
        totals[index] = sooner
        # Links elsewhere may keep all of these bytes, so the sweep checks when enough is free.
        sooner += more
    return totals
