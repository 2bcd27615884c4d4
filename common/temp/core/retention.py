"""The decision: which entries go, which stay, and why. Pure: no disk, no clock, no printing.

Limits nominate, protections veto. A limit looks at all entries and never at the protections or
at the other limits, so that two things hold whatever the entries are: raising a limit never
removes more, and protecting one entry never dooms another.
"""

from __future__ import annotations

import gc
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import translate
from functools import lru_cache
from itertools import repeat
from math import ceil, inf
from typing import Final, Literal, NamedTuple

from .entry import Entry
from .units import DAY, spell_comparison, spell_share, spell_shares, spell_size


class Policy(NamedTuple):
    """Limits that nominate entries for removal, and protections that veto.

    Durations are seconds, sizes bytes; `None` is no such limit. `everything` nominates all, and
    `abandoned` all, in the words for auto-cleanup entries whose process is gone. `categories`
    holds the policies of single categories, which replace this one there; `max_total_size`,
    `min_free_space` and the water marks of this one still count every entry.

    The water marks are shares of the filesystem that is used, as `df` reckons it: above
    `high_water` entries go until less than `low_water` is used (`high_water` itself, if it is
    `None`). Where space is wanted, what has the smallest `cost` to make again goes first.

    An owner that cannot be checked keeps its entry until that has been unchanged for `foreign_for`;
    `None` is what is configured for the project of the root.
    """

    everything: bool = False
    abandoned: bool = False
    max_age: float | None = None
    max_count: int | None = None
    max_total_size: int | None = None
    min_free_space: int | None = None
    high_water: float | None = None
    low_water: float | None = None
    cost: float = 1.0
    exclude: tuple[str, ...] = ()
    keep_last: int | None = None
    keep_within: float | None = None
    spare_in_use: bool = True
    spare_work: bool = True
    foreign_for: float | None = None
    categories: tuple[tuple[str, Policy], ...] = ()

    @property
    def has_limit(self) -> bool:
        """Whether anything at all could be nominated by a limit other than `everything`."""
        own = (self.max_age, self.max_count, self.max_total_size)
        space = (self.min_free_space, self.high_water)
        return any(limit is not None for limit in (*own, *space)) or any(
            policy.has_limit for _, policy in self.categories
        )

    def of(self, category: str) -> Policy:
        """The policy for `category`."""
        for name, policy in self.categories:
            if name == category:
                return policy
        return self

    def wanted_free(self, free: int | None, capacity: int | None) -> int | None:
        """How many bytes of a filesystem are to be free, of which `free` are now; `None` where the
        policy asks for none, or it cannot be told.

        `capacity` is used and free bytes together, without which no water mark counts.
        """
        if free is None:
            return None
        wanted = (self.min_free_space, _wanted_below(self, free, capacity))
        return max((size for size in wanted if size is not None), default=None)


def _wanted_below(policy: Policy, free: int, capacity: int | None) -> int | None:
    """How many bytes are to be free, so that less than `low_water` is used; `None` where no more
    than `high_water` is.
    """
    high = policy.high_water
    if high is None or not capacity or capacity - free <= high * capacity:
        return None
    low = high if policy.low_water is None else policy.low_water
    return min(capacity, capacity - ceil(low * capacity) + 1)


class Need(NamedTuple):
    """What has to be known of an entry to decide on it.

    Not `inside`: it goes whatever it holds. A change at or after `enough` (seconds since 1970)
    decides that it stays, whatever else changed, and however large it is.
    """

    inside: bool = True
    enough: float | None = None


WHOLE: Final = Need()


def needed(policy: Policy, category: str, now: float, *, sizes: bool) -> Need:
    """What `judge` has to know of the entries of `category`; `sizes` of those that go are wanted.

    Knowing more never changes what is decided on any entry.
    """
    own = policy.of(category)
    others_count = (policy.max_total_size, policy.min_free_space, policy.high_water)
    its_rank_counts = (own.max_total_size, own.max_count, own.keep_last)
    if any(limit is not None for limit in (*others_count, *its_rank_counts)):
        return WHOLE
    if own.everything or own.abandoned:
        return WHOLE if sizes or own.keep_within else Need(inside=False)
    if own.max_age:
        # A little later than the limit, since a time that went through a float is not exact.
        return Need(enough=now - own.max_age + 0.001)
    return WHOLE


STRATEGIES: Final[dict[str, Policy]] = {
    "aggressive": Policy(max_count=3, max_age=3 * DAY),
    "moderate": Policy(max_count=5, max_age=7 * DAY),
    "conservative": Policy(max_count=14, max_age=30 * DAY),
    "archive": Policy(max_count=5, max_age=7 * DAY),
}
"""The named policies. `archive` decides as `moderate` does; what goes is archived."""

Effect = Literal["goes", "stays", "silent"]
LOW_SPACE: Final = "low space"
"""The rule that names entries because less is free than `min_free_space` or `low_water` wants."""

WITHIN_LIMITS: Final = "within limits"
"""The rule that keeps what no limit names."""

UNSAVED: Final = "unsaved work"
"""The rule that keeps what version control has there and nowhere else."""

UNDO_OVER: Final = "undo time is over"
"""The rule that names what was set aside, once it can be undone no longer."""


class Reason(NamedTuple):
    """What one rule says of one entry: the rule's name, its effect, and the evidence."""

    rule: str
    effect: Effect
    evidence: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.evidence}" if self.evidence else self.rule


class Verdict(NamedTuple):
    """The decision on one entry, with the reasons for it, the deciding one first."""

    entry: Entry
    keep: bool
    reasons: tuple[Reason, ...]

    @property
    def reason(self) -> Reason:
        """The reason that decided."""
        return self.reasons[0]


class _Disk(NamedTuple):
    """The filesystem of the entries: its free bytes, used and free ones together, and how many
    others are about to be freed. `by_cost` tells whether entries do not all cost the same, and
    `wanted` how many are to be free by the water marks.
    """

    free: int | None
    capacity: int | None
    coming: int
    by_cost: bool
    wanted: int | None


class _Case(NamedTuple):
    """What rules need to know of an entry: itself, its policy, its rank and the bytes around it.

    `rank` counts from 1 for the newest `of` its (category, label). `newer_bytes` is the size of the
    entry and all newer ones of the root; `category_bytes` the same within its category;
    `sooner_bytes` what would be freed before it where space is wanted, if that is.
    """

    entry: Entry
    policy: Policy
    base: Policy
    age: float
    disk: _Disk
    rank: int
    of: int
    newer_bytes: int
    category_bytes: int
    sooner_bytes: int

    @property
    def where(self) -> str:
        inside = self.entry.changed_in
        newest = "changed" if self.entry.partial else "newest change"
        return f", {newest} in {inside}" if inside else ""


# -- protections, in the order in which a person would name them ---------------------------

_USED_BY_NOBODY: Final = Reason("in use", "silent", "by nobody")
_NOT_PINNED: Final = Reason("pinned", "silent", "no")


def _in_use(case: _Case) -> Reason | None:
    use = case.entry.use
    if use is None:
        return _USED_BY_NOBODY
    if use.mine and case.policy.everything:
        return Reason("in use", "silent", "by this very process, which asked for everything")
    if not case.policy.spare_in_use:
        return Reason("in use", "silent", f"{use.who}, overridden by --include-in-use")
    return Reason("in use", "stays", use.who)


def _pinned(case: _Case) -> Reason | None:
    if case.entry.pin is None:
        return _NOT_PINNED
    return Reason("pinned", "stays", case.entry.pin or "no reason given")


def _unsaved(case: _Case) -> Reason | None:
    work = case.entry.work
    if work is None:
        return None
    if case.policy.abandoned or not case.policy.spare_work:
        ignored = "" if case.policy.spare_in_use else ", overridden by --include-in-use"
        return Reason(UNSAVED, "silent", f"{work}{ignored}")
    return Reason(UNSAVED, "stays", work)


def _unreadable(case: _Case) -> Reason | None:
    """Without a look inside, no limit can be shown to be over; only `everything` needs none."""
    if case.entry.unreadable is None:
        return None
    if case.policy.everything or case.policy.abandoned:
        return Reason(
            "unreadable", "silent", f"{case.entry.unreadable}, which `everything` ignores"
        )
    return Reason("unreadable", "stays", f"{case.entry.unreadable}, so its age is not known")


def _mounted(case: _Case) -> Reason | None:
    if case.entry.mounted is None:
        return None
    return Reason("mounted", "stays", f"another filesystem is mounted at {case.entry.mounted}")


def _excluded(case: _Case) -> Reason | None:
    patterns = case.policy.exclude
    if not patterns:
        return None
    pattern = matching_pattern(case.entry, patterns)
    if pattern is None:
        return Reason("excluded", "silent", f"matches none of {', '.join(patterns)}")
    return Reason("excluded", "stays", f"matches {pattern}")


def _keep_last(case: _Case) -> Reason | None:
    wanted = case.policy.keep_last
    if wanted is None:
        return None
    effect: Effect = "stays" if case.rank <= wanted else "silent"
    return Reason("keep last", effect, f"{_rank(case)}, the newest {wanted} are kept")


def _keep_within(case: _Case) -> Reason | None:
    span = case.policy.keep_within
    if not span:  # within no time at all is nothing, as max_age 0 is everything
        return None
    effect: Effect = "stays" if case.age <= span else "silent"
    age, limit = spell_comparison(case.age, span)
    return Reason("keep within", effect, f"{age} {'≤' if effect == 'stays' else '>'} {limit}")


# -- limits ---------------------------------------------------------------------------------


def _everything(case: _Case) -> Reason | None:
    if case.policy.abandoned:
        return Reason("abandoned", "goes", "to be gone when its process ended, which it has")
    if case.policy.everything:
        return Reason("everything", "goes", "all that nothing protects")
    return None


def _max_age(case: _Case) -> Reason | None:
    limit = case.policy.max_age
    if limit is None:
        return None
    # A limit of zero means "older than nothing": also what changed at this very instant.
    over = case.age > limit or limit == 0
    if case.entry.future:
        new = "changed in the future, which counts as new"
        return (
            Reason("expired", "goes", f"{new}, 0 s ≥ 0 s")
            if over
            else Reason("max age", "silent", new)
        )
    age, most = spell_comparison(case.age, limit)
    if over:
        return Reason(
            "expired", "goes", f"{age} {'>' if case.age > limit else '≥'} {most}{case.where}"
        )
    return Reason("max age", "silent", f"{age} ≤ {most}{case.where}")


def _max_count(case: _Case) -> Reason | None:
    limit = case.policy.max_count
    if limit is None:
        return None
    if case.rank > limit:
        return Reason("over count", "goes", f"{_rank(case)}, {limit} are kept")
    return Reason("max count", "silent", f"{_rank(case)}, {limit} are kept")


def _max_total_size(case: _Case) -> Reason | None:
    found: Reason | None = None
    for limit, used, whole in (
        (case.base.max_total_size, case.newer_bytes, "all entries"),
        (case.policy.max_total_size, case.category_bytes, "its category"),
    ):
        if limit is None:
            continue
        if found is None or used > limit:
            evidence = (
                f"{spell_size(used)} in it and what is newer in {whole}, "
                f"limit {_spell_limit(limit)}"
            )
            if used > limit:
                return Reason("over size", "goes", evidence)
            found = Reason("max total size", "silent", evidence)
    return found


def _min_free_space(case: _Case) -> Reason | None:
    limit, disk = case.base.min_free_space, case.disk
    if limit is None or disk.free is None:
        return None
    free = disk.free + disk.coming
    if free + case.sooner_bytes < limit:
        order = f"cost {case.policy.cost:g}" if disk.by_cost else "oldest first"
        return Reason(
            LOW_SPACE,
            "goes",
            f"{spell_size(free)} free, {_spell_limit(limit)} wanted, {order}",
        )
    return Reason("min free space", "silent", f"{_spell_limit(limit)} would be free without it")


def _high_water(case: _Case) -> Reason | None:
    high, disk = case.base.high_water, case.disk
    if high is None or disk.free is None or not disk.capacity:
        return None
    share, mark = _spell_fullness(1 - disk.free / disk.capacity, high)
    if disk.wanted is None:
        return Reason("high water", "silent", f"disk {share} full ≤ high_water {mark}")
    over = f"disk {share} full > high_water {mark}; cost {case.policy.cost:g}"
    if disk.free + disk.coming + case.sooner_bytes < disk.wanted:
        return Reason(LOW_SPACE, "goes", over)
    low = high if case.base.low_water is None else case.base.low_water
    reached = f"low_water {spell_share(low)} would be reached without it"
    return Reason("high water", "silent", f"{over}; {reached}")


# The same few for all entries, and spelling one takes longer than judging by it.
_spell_limit = lru_cache(maxsize=64)(spell_size)
_spell_fullness = lru_cache(maxsize=64)(spell_shares)


def _rank(case: _Case) -> str:
    rank = case.rank
    ending = "th" if 10 <= rank % 100 <= 20 else _ENDINGS.get(rank % 10, "th")
    return f"{rank}{ending} newest of {case.of} {case.entry.label}"


_ENDINGS: Final = {1: "st", 2: "nd", 3: "rd"}


_Rule = Callable[[_Case], "Reason | None"]
_PROTECTIONS: Final[tuple[_Rule, ...]] = (
    _in_use,
    _pinned,
    _unsaved,
    _excluded,
    _keep_last,
    _keep_within,
    _mounted,
    _unreadable,
)
_LIMITS: Final[tuple[_Rule, ...]] = (
    _everything,
    _max_age,
    _max_count,
    _max_total_size,
    _min_free_space,
    _high_water,
)


def matching_pattern(entry: Entry, patterns: Sequence[str]) -> str | None:
    """The first of the shell globs that matches the entry's `category/name` path, its name, or its
    category (`cache`, or `cache/` as in a `.gitignore`).
    """
    path, name, category = entry.path, entry.name, entry.category
    for pattern, matches in _compiled(tuple(patterns)):
        if matches(path) or matches(name) or matches(category):
            return pattern
    return None


@lru_cache(maxsize=64)
def _compiled(patterns: tuple[str, ...]) -> tuple[tuple[str, Callable[[str], object]], ...]:
    return tuple((text, re.compile(translate(text.strip("/"))).match) for text in patterns)


def judge(
    entries: Iterable[Entry],
    policy: Policy,
    now: float,
    *,
    free: int | None = None,
    capacity: int | None = None,
    coming: int = 0,
) -> tuple[Verdict, ...]:
    """One verdict for each entry, in their order, each with its reasons.

    `now` is in seconds since 1970; `free` the free bytes of the filesystem, without which
    `min_free_space` nominates nothing, `capacity` used and free ones together, without which the
    water marks do not, and `coming` how many are freed before any entry goes.
    """
    cases = _cases(tuple(entries), policy, now, (free, capacity, coming))
    with _collector_at_rest():
        return tuple([_verdict(case) for case in cases])


def freed_anyway(entries: Iterable[Entry], policy: Policy, now: float) -> int:
    """How many bytes the entries take that go for another reason than that space is wanted."""
    verdicts = judge(entries, policy, now)
    return sum(one.entry.size - one.entry.shared for one in verdicts if not one.keep)


def undo_over(set_aside: float, undo_for: float | None, now: float) -> Reason | None:
    """Why what was set aside then, to be undone for so many seconds, goes for good; `None` if it
    stays.
    """
    if undo_for is None:
        return None
    age = max(0.0, now - set_aside)
    if age <= undo_for and undo_for:
        return None
    past, limit = spell_comparison(age, undo_for)
    return Reason(UNDO_OVER, "goes", f"{past} {'>' if age > undo_for else '≥'} {limit}")


def undoable_to_forget(
    held: Iterable[tuple[Entry, float | None]],
    policy: Policy,
    now: float,
    *,
    free: int | None,
    capacity: int | None = None,
    anyway: int = 0,
) -> tuple[tuple[Entry, Reason], ...]:
    """Those of `held` that go for good, each with its reason: what can be undone no longer, and
    then the oldest, until `min_free_space` and `low_water` are met; `free` is `None` where that
    does not matter, `capacity` as in `judge`, and `anyway` how many bytes are freed besides.

    Each comes with the seconds for which it can be undone; its `changed` is when it was set aside.
    One that is pinned stays.
    """
    found = []
    rest = []
    coming = 0
    for entry, undo_for in held:
        over = undo_over(entry.changed, undo_for, now) if entry.pin is None else None
        if over is None:
            rest.append(entry)
        else:
            found.append((entry, over))
            coming += entry.size - entry.shared
    low = archives_to_drop(
        rest,
        policy,
        free=free,
        capacity=capacity,
        coming=coming + anyway,
        first="what can be undone",
    )
    return (*found, *low)


def archives_to_drop(
    archives: Iterable[Entry],
    policy: Policy,
    *,
    free: int | None,
    capacity: int | None = None,
    coming: int = 0,
    first: str = "oldest archives",
) -> tuple[tuple[Entry, Reason], ...]:
    """Those of `archives` that go before any entry does, the oldest first, until `min_free_space`
    and `low_water` are met; each with its reason.

    Their `changed` is when they were archived. One that is pinned stays. All of them lie on the
    filesystem of which `free` bytes are free, with `capacity` and `coming` as in `judge`; the
    evidence says what goes `first`.
    """
    limit = policy.wanted_free(free, capacity)
    if limit is None or free is None:
        return ()
    evidence = f"{spell_size(free)} free, {spell_size(limit)} wanted, {first} first"
    found = []
    for archived in sorted(archives, key=lambda entry: (entry.changed, entry.path)):
        if free + coming >= limit:
            break
        if archived.pin is None:
            coming += archived.size - archived.shared
            found.append((archived, Reason(LOW_SPACE, "goes", evidence)))
    return tuple(found)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Verdicts make no cycles; to look for some among 100,000 of them takes half of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def explain(
    entries: Iterable[Entry],
    policy: Policy,
    now: float,
    path: str,
    *,
    free: int | None = None,
    capacity: int | None = None,
    coming: int = 0,
) -> tuple[Verdict, tuple[Reason, ...]]:
    """The verdict on the entry at `path`, and what every rule that applies says of it.

    Raises `LookupError` if there is no such entry.
    """
    for case in _cases(tuple(entries), policy, now, (free, capacity, coming)):
        if case.entry.path == path:
            said = tuple(rule(case) for rule in _PROTECTIONS + _LIMITS)
            return _verdict(case), tuple(reason for reason in said if reason is not None)
    raise LookupError(path)


def _cases(
    entries: Sequence[Entry],
    policy: Policy,
    now: float,
    disk: tuple[int | None, int | None, int],
) -> Iterator[_Case]:
    """The case of each entry, in their order.

    Goes through the entries in the order in which they lie in memory, and through plain numbers in
    the order of age: with 100,000 entries the other way takes twice as long.
    """
    sizes = [entry.size for entry in entries]
    categories = [entry.category for entry in entries]
    groups = [(entry.category, entry.label) for entry in entries]
    newness = [inf if entry.future else entry.changed for entry in entries]
    paths = [entry.path for entry in entries]
    # The path breaks ties, so that the answer does not depend on the order of a listing.
    order = sorted(range(len(entries)), key=paths.__getitem__)
    order.sort(key=newness.__getitem__, reverse=True)
    counts = Counter(groups)
    ranks, newer_bytes, category_bytes = [0] * len(order), [0] * len(order), [0] * len(order)
    seen = dict.fromkeys(counts, 0)
    bytes_of = dict.fromkeys(categories, 0)
    newer = 0
    for index in order:
        group, category, size = groups[index], categories[index], sizes[index]
        seen[group] = ranks[index] = seen[group] + 1
        bytes_of[category] = category_bytes[index] = bytes_of[category] + size
        newer_bytes[index] = newer = newer + size
    free, capacity, coming = disk
    wanted = None if free is None else _wanted_below(policy, free, capacity)
    policies = {category: policy.of(category) for category in bytes_of}
    costs = {category: own.cost for category, own in policies.items()}
    by_cost = len(set(costs.values())) > 1
    sooner_bytes: Iterable[int] = repeat(0)
    if policy.min_free_space is not None or policy.high_water is not None:
        order.reverse()
        if by_cost:
            order.sort(key=lambda index: costs[categories[index]])
        sooner, sooner_bytes = 0, [0] * len(order)
        for index in order:
            sooner_bytes[index] = sooner
            # What a link elsewhere keeps may be all of it: the sweep looks when enough is free.
            sooner += sizes[index] - entries[index].shared
    return map(
        _Case,
        entries,
        [policies[category] for category in categories],
        repeat(policy),
        [max(0.0, now - changed) for changed in newness],
        repeat(_Disk(free, capacity, coming, by_cost, wanted)),
        ranks,
        [counts[group] for group in groups],
        newer_bytes,
        category_bytes,
        sooner_bytes,
    )


def _verdict(case: _Case) -> Verdict:
    said = [reason for rule in _LIMITS if (reason := rule(case)) is not None]
    going = [reason for reason in said if reason.effect == "goes"]
    staying = [
        reason
        for rule in _PROTECTIONS
        if (reason := rule(case)) is not None and reason.effect == "stays"
    ]
    if staying:
        return Verdict(case.entry, True, (*staying, *going))
    if going:
        return Verdict(case.entry, False, tuple(going))
    if not said:
        return Verdict(case.entry, True, (_NO_LIMIT,))
    evidence = "; ".join([reason.evidence for reason in said])
    return Verdict(case.entry, True, (Reason(WITHIN_LIMITS, "stays", evidence),))


_NO_LIMIT: Final = Reason("no limit", "stays", "nothing asks for it")


def what_would_change(verdict: Verdict) -> str:
    """What would turn this verdict around, for a person: a sentence for each thing it takes."""
    if not verdict.keep:
        return (
            "It stays if it is pinned (`temp-pin`), if `exclude` matches it, "
            "or while a process uses it."
        )
    remedies = [_REMEDIES[reason.rule] for reason in verdict.reasons if reason.effect == "stays"]
    if verdict.reason.rule not in ("no limit", "within limits") and all(
        reason.effect == "stays" for reason in verdict.reasons
    ):
        remedies.append("when it is over a limit, or with --everything")
    return f"It can go {', and '.join(remedies)}."


_REMEDIES: Final = {
    "in use": "when that process has ended, or with --include-in-use --name",
    "pinned": "after `temp-unpin`",
    UNSAVED: "when that is committed and pushed, or with --include-in-use --name",
    "excluded": "when no pattern in `exclude` matches it",
    "keep last": "when newer ones of its name exist or keep_last is smaller",
    "keep within": "when it has been unchanged for longer",
    "unreadable": "with --everything, or once it can be read",
    "mounted": "when that filesystem is unmounted",
    "no limit": "with --everything or under a policy",
    "within limits": "when it is over one of these limits, or with --everything",
}
