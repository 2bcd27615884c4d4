"""Policies: limits that choose entries for removal, and protections that keep entries."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any, Final

from .layouts import PIPELINE
from .links import BYTES, INODES
from .named_tuple import NamedTuple
from .units import DAY, HOUR, read_number, spell_duration, spell_share, spell_size


class Policy(NamedTuple):
    """Limits that choose entries for removal, and protections that keep entries.

    Durations are in seconds, sizes in bytes; `None` means no limit. `everything` chooses all
    entries: because the user asked for that or, if `unconfigured`, because no limit is set.
    `abandoned` chooses all entries because their process has ended. `categories` maps single
    categories to the policies that replace this one for them; `max_total_size`, `max_files`,
    `min_free_space` and the water marks of this one still count every entry.

    The water marks are the used share of the filesystem, as `df` computes it: above `high_water`,
    entries go until less than `low_water` is used (`None` means `high_water`). If space is low, the
    entries with the smallest `cost` to make again go first.

    An entry whose owner cannot be checked stays until it has been unchanged for `foreign_for`;
    `None` means the value configured for the project of the root. `keep_last_good` only applies to
    runs; `None` means 1, or 0 if the user asked for `everything`. Files that match `keep_files`
    stay when the rest of their entry goes.
    """

    everything: bool = False
    unconfigured: bool = False
    abandoned: bool = False
    max_age: float | None = None
    max_count: int | None = None
    max_total_size: int | None = None
    max_files: int | None = None
    min_free_space: int | None = None
    high_water: float | None = None
    low_water: float | None = None
    cost: float = 1.0
    exclude: tuple[str, ...] = ()
    keep_last: int | None = None
    keep_last_good: int | None = None
    keep_within: float | None = None
    keep_files: tuple[str, ...] = ()
    spare_in_use: bool = True
    spare_work: bool = True
    foreign_for: float | None = None
    categories: tuple[tuple[str, Policy], ...] = ()

    @property
    def has_limit(self) -> bool:
        """Whether a limit other than `everything` is set, here or in a category."""
        return any(getattr(self, name) is not None for name in SPELLED_LIMITS) or any(
            policy.has_limit for _, policy in self.categories
        )

    @property
    def keeps_files(self) -> bool:
        """Whether any category keeps files of entries that go."""
        return bool(self.keep_files) or any(own.keep_files for _, own in self.categories)

    def of(self, category: str) -> Policy:
        """The policy for `category`."""
        for name, policy in self.categories:
            if name == category:
                return policy
        return self

    def everywhere(self, **changes: Any) -> Policy:
        """The policy with `changes` to its fields, also in every category."""
        categories = tuple((name, own._replace(**changes)) for name, own in self.categories)
        return self._replace(**changes, categories=categories)

    def with_limits_of(self, limits: Policy) -> Policy:
        """The policy with the limits of `limits` in place of its own, also in every category.

        Limits on all entries together do not apply to a category.
        """
        policy = self.everywhere(**{name: getattr(limits, name) for name in LIMIT_FIELDS})
        own = tuple((name, own.for_category()) for name, own in policy.categories)
        return policy._replace(categories=own)

    def for_category(self) -> Policy:
        """The policy for a category: without the limits on all entries together."""
        cleared: dict[str, Any] = dict.fromkeys(SUMMED_LIMITS)
        return self._replace(**cleared)

    def wanted_free(self, free: int | None, capacity: int | None) -> int | None:
        """The free bytes that the policy asks for, on a filesystem with `free` free bytes; `None`
        if it asks for none, or if `free` is unknown.

        `capacity` is the sum of used and free bytes; without it, water marks do not apply.
        """
        if free is None:
            return None
        wanted = (self.min_free_space, self.wanted_by_marks(free, capacity))
        return max((size for size in wanted if size is not None), default=None)

    def wanted_by_marks(self, free: int, capacity: int | None) -> int | None:
        """The free bytes at which less than `low_water` is used; `None` if no more than
        `high_water` is used.
        """
        high = self.high_water
        if high is None or not capacity or capacity - free <= high * capacity:
            return None
        low = high if self.low_water is None else self.low_water
        return min(capacity, capacity - ceil(low * capacity) + 1)


PROTECTION_FIELDS: Final = frozenset(
    {
        "cost",
        "exclude",
        "keep_last",
        "keep_last_good",
        "keep_within",
        "keep_files",
        "foreign_for",
    }
)
"""The fields that choose no entries. `cost` only orders the entries that other fields choose."""

SUMMED_LIMITS: Final = {"max_total_size": BYTES, "max_files": INODES}
"""The limits on all entries together, and the field of an entry that each adds up."""

LIMIT_FIELDS: Final = frozenset(Policy._fields) - PROTECTION_FIELDS - {"categories"}
"""All other fields, including ones added later. Limits on a command line replace these."""

SPELLED_LIMITS: Final[dict[str, Callable[[Any], str]]] = {
    "max_age": spell_duration,
    "max_count": str,
    "max_total_size": spell_size,
    "max_files": str,
    "min_free_space": spell_size,
    "high_water": spell_share,
}
"""The limits whose value is a number, and how it is spelled."""

STRATEGIES: Final[dict[str, Policy]] = {
    "aggressive": Policy(max_count=3, max_age=3 * DAY),
    "moderate": Policy(max_count=5, max_age=7 * DAY),
    "conservative": Policy(max_count=14, max_age=30 * DAY),
    "archive": Policy(max_count=5, max_age=7 * DAY),
}
"""The named policies. `archive` has the limits of `moderate`, and archives the entries that go."""


def policy_of_age(hours: object, what: str) -> Policy:
    """The policy that removes entries unchanged for more than that many hours.

    `what` names the value in the error. Raises `InvalidSettings`.
    """
    return Policy(max_age=read_number(hours, what, "number of hours", HOUR))


def strategy_limits(name: str) -> dict[str, Any]:
    """The policy fields that the strategy `name` sets, with their values."""
    return {field: getattr(STRATEGIES[name], field) for field in _STRATEGY_LIMITS}


_STRATEGY_LIMITS: Final = ("max_age", "max_count")


# -- in words -----------------------------------------------------------------------------------


def spell_policy(policy: Policy) -> str:
    """`policy` in a few words: its strategy, if it has the numbers of one, and its limits."""
    text = _spell_limits(policy)
    own = [name for name, of_it in policy.categories if _spell_limits(of_it) != text]
    if own and not (policy.everything or policy.abandoned):
        text += f", its own in {', '.join(own)}"
    return text if policy.spare_in_use else f"{text}, what is in use too"


def _spell_limits(policy: Policy) -> str:
    if policy.abandoned:
        return "abandoned"
    if policy.everything:
        return "everything"
    limits = []
    for name, spell in SPELLED_LIMITS.items():
        limit = getattr(policy, name)
        if limit is not None:
            limits.append(f"{name.replace('_', ' ')} {spell(limit)}")
    if policy.high_water is not None:
        low = policy.high_water if policy.low_water is None else policy.low_water
        limits.append(f"low {spell_share(low)}")
    text = ", ".join(limits) or "no limit"
    for strategy in STRATEGIES:
        if all(getattr(policy, key) == own for key, own in strategy_limits(strategy).items()):
            return f"{strategy}: {text}"
    return text


# -- what has to be known -----------------------------------------------------------------------


class Need(NamedTuple):
    """What a scan must find out about an entry for a decision on it.

    If `inside` is false, the entry goes whatever it holds. A change at or after `enough` (seconds
    since 1970) decides that the entry stays, whatever else changed, and however large it is.
    """

    inside: bool = True
    enough: float | None = None


WHOLE: Final = Need()


def needed(policy: Policy, category: str, now: float, *, sizes: bool) -> Need:
    """What `judge` must know about entries of `category`. With `sizes`, also the size of those
    that go.

    Knowing more never changes a decision.
    """
    own = policy.of(category)
    others = SPELLED_LIMITS.keys() - {"max_age"}  # some of them depend on all entries
    if own.keep_last_good != 0 and category == PIPELINE.category:
        return WHOLE
    if own.keep_last is not None or any(
        getattr(one, name) is not None for one in (policy, own) for name in others
    ):
        return WHOLE
    if own.everything or own.abandoned:
        return WHOLE if sizes or own.keep_within else Need(inside=False)
    if own.max_age:
        # A little later than the limit, since times stored as floats are not exact.
        return Need(enough=now - own.max_age + 0.001)
    return WHOLE
