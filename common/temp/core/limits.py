"""The limits, which choose entries for removal: each rule says whether it does, and why.

A limit is a rule here, a field of `Policy` in `policy`, and a key in `store/settings/keys.py`.
Sums over several entries are computed in `cases`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from .cases import Case, Limit, Rules, Silence
from .named_tuple import NamedTuple
from .policy import SPELLED_LIMITS, SUMMED_LIMITS
from .reasons import LOW_SPACE, UNFINISHED, Reason
from .units import (
    spell_comparison,
    spell_excess,
    spell_inodes,
    spell_share,
    spell_shares,
    spell_size,
)

_ABANDONED: Final = Reason("abandoned", "goes", "its process has ended")
_UNCONFIGURED: Final = Reason("no policy configured", "goes", "")
_BEGUN: Final = Reason(UNFINISHED, "goes", "a clean began to remove it, and could not remove all")
_REQUESTED: Final = Reason("everything", "goes", "requested, regardless of age")
_NOT_RUNS: Final = "a full disk removes archives, not runs"


def _everything(case: Case) -> Reason | None:
    policy = case.policy
    if policy.abandoned:
        return _ABANDONED
    if policy.everything:
        return _UNCONFIGURED if policy.unconfigured else _REQUESTED
    return None


def _unfinished(case: Case) -> Reason | None:
    return _BEGUN if case.entry.unfinished else None


def _max_age(case: Case) -> Reason | Silence | None:
    limit = case.policy.max_age
    if limit is None:
        return None
    if over := spell_excess(case.age, limit):
        # Half of all entries may go, and calling `Reason(…)` takes twice as long.
        return tuple.__new__(Reason, ("expired", "goes", f"{over}{case.where}"))
    return lambda: Reason(
        "max age", "silent", f"{' ≤ '.join(spell_comparison(case.age, limit))}{case.where}"
    )


def _max_count(case: Case) -> Reason | Silence | None:
    limit = case.policy.max_count
    if limit is None:
        return None
    if case.rank > limit:
        return tuple.__new__(Reason, ("over count", "goes", f"{case.place}, limit {limit}"))
    return lambda: Reason("max count", "silent", f"{case.place}, limit {limit}")


_PLACES: Final = {limit: place for place, limit in enumerate(SUMMED_LIMITS)}


def _max_total_size(case: Case) -> Reason | Silence | None:
    sums = case.sums[_PLACES["max_total_size"]]
    most, own = case.base.max_total_size, case.policy.max_total_size
    return _sum(sums, most, own, _SIZES)


def _max_files(case: Case) -> Reason | Silence | None:
    sums = case.sums[_PLACES["max_files"]]
    most, own = case.base.max_files, case.policy.max_files
    return _sum(sums, most, own, _FILES)


class _Sum(NamedTuple):
    """A limit on sums: its name within the limit and over it, and how to spell its values."""

    within: str
    over: str
    spell: Callable[[int], str]
    spell_limit: Callable[[int], str]


_SIZES: Final = _Sum("max total size", "over size", spell_size, lru_cache(64)(spell_size))
_FILES: Final = _Sum("max files", "over files", spell_inodes, str)


def _sum(
    sums: tuple[int, int], most: int | None, own: int | None, what: _Sum
) -> Reason | Silence | None:
    """The result of the limit `most` on the sum over the root, or of `own` on that of the category.

    `sums` has both sums, each of the entry and all newer ones.
    """
    of_all, of_category = sums
    if most is not None and of_all > most:
        return Reason(what.over, "goes", _spell_sum(what, of_all, _ALL, most))
    if own is not None and of_category > own:
        return Reason(what.over, "goes", _spell_sum(what, of_category, _IN_CATEGORY, own))
    if most is not None:
        return lambda: Reason(what.within, "silent", _spell_sum(what, of_all, _ALL, most))
    if own is None:
        return None
    return lambda: Reason(what.within, "silent", _spell_sum(what, of_category, _IN_CATEGORY, own))


_ALL: Final = "all newer entries"
_IN_CATEGORY: Final = "newer entries in its category"


def _spell_sum(what: _Sum, used: int, others: str, most: int) -> str:
    return f"{what.spell(used)} with {others}, limit {what.spell_limit(most)}"


def _min_free_space(case: Case) -> Reason | Silence | None:
    limit, disk = case.base.min_free_space, case.disk
    if limit is None or disk.free is None:
        return None
    if case.entry.ending:
        return lambda: Reason("min free space", "silent", _NOT_RUNS)
    free, wanted = disk.free + disk.coming, _spell_limit("min_free_space", limit)
    if free + case.sooner_bytes < limit:
        order = f"cost {case.policy.cost:g}" if disk.by_cost else "oldest first"
        low = f"{spell_size(free)} free, {wanted} wanted, {order}"
        return Reason(LOW_SPACE, "goes", low)
    return lambda: Reason("min free space", "silent", f"not needed to reach {wanted} free")


def _high_water(case: Case) -> Reason | Silence | None:
    high, disk = case.base.high_water, case.disk
    if high is None or disk.free is None or not disk.capacity:
        return None
    if case.entry.ending:
        return lambda: Reason("high water", "silent", _NOT_RUNS)
    share, mark = _spell_fullness(1 - disk.free / disk.capacity, high)
    if disk.wanted is None:
        return lambda: Reason("high water", "silent", f"disk {share} full ≤ high_water {mark}")
    over = f"disk {share} full > high_water {mark}; cost {case.policy.cost:g}"
    if disk.free + disk.coming + case.sooner_bytes < disk.wanted:
        return Reason(LOW_SPACE, "goes", over)
    low = spell_share(high if case.base.low_water is None else case.base.low_water)
    return lambda: Reason("high water", "silent", f"{over}; not needed to reach low_water {low}")


# All entries share a few limits, and spelling one takes longer than judging by it.
_spell_limit = lru_cache(maxsize=64)(lambda name, limit: SPELLED_LIMITS[name](limit))
_spell_fullness = lru_cache(maxsize=64)(spell_shares)


LIMIT_RULES: Final[Rules[Limit]] = {
    _unfinished: (),
    _everything: ("everything", "abandoned"),
    _max_age: ("max_age",),
    _max_count: ("max_count",),
    _max_total_size: ("max_total_size",),
    _max_files: ("max_files",),
    _min_free_space: ("min_free_space",),
    _high_water: ("high_water",),
}
