"""What chooses an entry for removal: each rule says whether it does, and why.

A limit is a rule here, a field of `Policy` in `policy`, and a key in `store/root/settings.py`.
Sums over several entries are made in `cases`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from .cases import Case, Rules
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


def _max_age(case: Case) -> Reason | None:
    limit = case.policy.max_age
    if limit is None:
        return None
    if over := spell_excess(case.age, limit):
        return Reason("expired", "goes", f"{over}{case.where}")
    age, most = spell_comparison(case.age, limit)
    return _silent("max age", f"{age} ≤ {most}{case.where}")


def _max_count(case: Case) -> Reason | None:
    limit = case.policy.max_count
    if limit is None:
        return None
    evidence = f"{case.place}, limit {limit}"
    if case.rank > limit:
        return Reason("over count", "goes", evidence)
    return _silent("max count", evidence)


_PLACES: Final = {limit: place for place, limit in enumerate(SUMMED_LIMITS)}


def _max_total_size(case: Case) -> Reason | None:
    return _sum(case, "max_total_size", "over size", spell_size)


def _max_files(case: Case) -> Reason | None:
    return _sum(case, "max_files", "over files", spell_inodes)


def _sum(case: Case, limit: str, over: str, spell: Callable[[int], str]) -> Reason | None:
    """What a limit on the sum of all newer entries says, and on that of those in the category."""
    found: Reason | None = None
    of_all, of_category = case.sums[_PLACES[limit]]
    for policy, used, others in (
        (case.base, of_all, "all newer entries"),
        (case.policy, of_category, "newer entries in its category"),
    ):
        most = getattr(policy, limit)
        if most is None:
            continue
        if found is None or used > most:
            evidence = f"{spell(used)} with {others}, limit {_spell_limit(limit, most)}"
            if used > most:
                return Reason(over, "goes", evidence)
            found = _silent(limit.replace("_", " "), evidence)
    return found


def _min_free_space(case: Case) -> Reason | None:
    limit, disk = case.base.min_free_space, case.disk
    if limit is None or disk.free is None:
        return None
    if case.entry.ending:
        return _silent("min free space", _NOT_RUNS)
    free, wanted = disk.free + disk.coming, _spell_limit("min_free_space", limit)
    if free + case.sooner_bytes < limit:
        order = f"cost {case.policy.cost:g}" if disk.by_cost else "oldest first"
        low = f"{spell_size(free)} free, {wanted} wanted, {order}"
        return Reason(LOW_SPACE, "goes", low)
    return _silent("min free space", f"not needed to reach {wanted} free")


def _high_water(case: Case) -> Reason | None:
    high, disk = case.base.high_water, case.disk
    if high is None or disk.free is None or not disk.capacity:
        return None
    if case.entry.ending:
        return _silent("high water", _NOT_RUNS)
    share, mark = _spell_fullness(1 - disk.free / disk.capacity, high)
    if disk.wanted is None:
        return _silent("high water", f"disk {share} full ≤ high_water {mark}")
    over = f"disk {share} full > high_water {mark}; cost {case.policy.cost:g}"
    if disk.free + disk.coming + case.sooner_bytes < disk.wanted:
        return Reason(LOW_SPACE, "goes", over)
    low = high if case.base.low_water is None else case.base.low_water
    return _silent("high water", f"{over}; not needed to reach low_water {spell_share(low)}")


def _silent(rule: str, evidence: str) -> Reason:
    return Reason(rule, "silent", evidence)


# The same few for all entries, and spelling one takes longer than judging by it.
_spell_limit = lru_cache(maxsize=64)(lambda name, limit: SPELLED_LIMITS[name](limit))
_spell_fullness = lru_cache(maxsize=64)(spell_shares)


LIMIT_RULES: Final[Rules] = {
    _unfinished: (),
    _everything: ("everything", "abandoned"),
    _max_age: ("max_age",),
    _max_count: ("max_count",),
    _max_total_size: ("max_total_size",),
    _max_files: ("max_files",),
    _min_free_space: ("min_free_space",),
    _high_water: ("high_water",),
}
