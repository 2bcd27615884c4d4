"""The decision: limits nominate, protections veto, and every verdict says why."""

from __future__ import annotations

import gc
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.temp.core.entry import Ending, Entry, Use
from common.temp.core.keeping import files_matcher
from common.temp.core.policy import STRATEGIES, WHOLE, Policy, needed
from common.temp.core.protections import OF_ENTRY, PROTECTION_RULES, matching_pattern
from common.temp.core.reasons import Reason, Verdict, what_would_change
from common.temp.core.retention import (
    archives_to_drop,
    explain,
    judge,
    undo_over,
    undoable_to_forget,
)
from tests.each import each
from tests.support import DAY, HOUR, NOW, entry, link

OWNER = Use("owner", "python (pid 7)")
MINE = Use("owner", "python (pid 8)", mine=True)
EVERYTHING = Policy(everything=True)
ABANDONED = Policy(abandoned=True)


def verdict(policy: Policy, **overrides: Any) -> Verdict:
    """The verdict on one entry that is alone in its root."""
    free = overrides.pop("free", None)
    return judge([entry(**overrides)], policy, NOW, free=free)[0]


def said(policy: Policy, **overrides: Any) -> tuple[bool, str]:
    found = verdict(policy, **overrides)
    return found.keep, str(found.reason)


def series(count: int, **overrides: Any) -> list[Entry]:
    """`count` entries of one name, the first an hour old and each next one a day older."""
    return [
        entry(
            **{
                "path": f"debug/demo_{1_699_990_000 - index}",
                "changed": NOW - HOUR - index * DAY,
                **overrides,
            }
        )
        for index in range(count)
    ]


def removed(
    entries: list[Entry], policy: Policy, *, free: int | None = None, now: float = NOW
) -> list[int]:
    """The indices of the entries that go."""
    return [i for i, v in enumerate(judge(entries, policy, now, free=free)) if not v.keep]


# -- limits -----------------------------------------------------------------------------------


@each(
    ("hours", "limit", "keep", "reason"),
    [
        (31, 24, False, "expired: 31 h > 24 h, newest change in logs/run.txt"),
        (24, 24, True, "within limits: 24 h ≤ 24 h, newest change in logs/run.txt"),
        (1, 24, True, "within limits: 1 h ≤ 24 h, newest change in logs/run.txt"),
        (0, 0, False, "expired: 0 s ≥ 0 s, newest change in logs/run.txt"),
        (1, 0, False, "expired: 60 min > 0 min, newest change in logs/run.txt"),
        (-1, 24, True, "within limits: 0 h ≤ 24 h, newest change in logs/run.txt"),
    ],
)
def test_an_entry_goes_when_its_newest_change_is_older_than_the_limit(
    hours: float, limit: float, keep: bool, reason: str
) -> None:
    policy = Policy(max_age=limit * HOUR)
    changed = NOW - hours * HOUR
    assert said(policy, changed=changed, changed_in="logs/run.txt") == (keep, reason)


def test_an_entry_whose_own_directory_changed_last_names_no_place_inside() -> None:
    assert said(Policy(max_age=DAY), changed=NOW - 2 * DAY) == (False, "expired: 48 h > 24 h")


@each(
    ("times", "reason"),
    [
        ({"arrived": NOW - 2 * HOUR}, "within limits: 2 h ≤ 24 h, arrived"),
        ({"arrived": NOW - 2 * HOUR, "used": NOW - HOUR}, "within limits: 1 h ≤ 24 h, last used"),
        ({"arrived": NOW - 2 * DAY}, "expired: 48 h > 24 h, arrived"),
        ({"arrived": NOW - 3 * DAY}, "expired: 72 h > 24 h, newest change in a/b"),
        ({"arrived": NOW - 4 * DAY}, "expired: 72 h > 24 h, newest change in a/b"),
    ],
)
def test_the_age_counts_from_the_newest_of_arrival_change_and_use_and_says_which(
    times: dict[str, Any], reason: str
) -> None:
    assert said(Policy(max_age=DAY), changed=NOW - 3 * DAY, changed_in="a/b", **times)[1] == reason


def test_what_unpacked_an_hour_ago_is_newer_than_what_changed_yesterday() -> None:
    entries = [*series(2), entry(path="debug/demo_9", changed=0.0, arrived=NOW - HOUR / 2)]
    assert removed(entries, Policy(max_count=1)) == [0, 1]
    assert removed(entries, Policy(max_total_size=4096)) == [0, 1]
    assert removed(entries, Policy(everything=True, keep_within=HOUR / 2)) == [0, 1]


def test_an_entry_is_excluded_by_each_way_in_which_it_is_named() -> None:
    for path, category, patterns in (
        ("cache/x_1", "cache", ("x_*", "cache", "cache/", "cache/x_1", "/cache/x*", "*/x_1")),
        ("cache/x_1", "cache", (".tmp/cache/x_*", "./.tmp/cache/x_1", ".temp/cache")),
        (
            "cache/x_1",
            "cache",
            ("./cache/x_1", "cache/x_1/**", "cache/x_1/*", "/a/p/.tmp/cache/x*"),
        ),
        ("cache/x_1", "cache", ("cache/{x,y}_1", "cache/x_1/end/a.bin", ".tmp/cache/*/end/*.bin")),
        ("golden", "uncategorized", ("golden", "uncategorized", "uncategorized/gold*", "golden/a")),
        ("keep-1", "jobs", ("jobs/keep-*",)),
        ("cache/Pru\u0308fung", "cache", ("Pr\u00fcfung*", "Pru\u0308f*")),
        ("tenant/7", "jobs", ("tenant/*", "jobs/tenant/*", "7")),
    ):
        for pattern in patterns:
            found = matching_pattern(entry(path=path, category=category), ("nothing", pattern))
            assert found == pattern, path
        for pattern in ("x", "cache/golden", "tmp/cache/x_1", ".tmp", "job", "tenant"):
            assert matching_pattern(entry(path=path, category=category), (pattern,)) is None


def test_a_file_is_kept_by_each_way_in_which_its_letters_are_composed() -> None:
    keeps = files_matcher(("L\u00f6sung*", "a/Pru\u0308f.txt"), any_case=False)
    for name in ("L\u00f6sung.txt", "b/Lo\u0308sung", "a/Pr\u00fcf.txt", "a/Pru\u0308f.txt"):
        assert keeps(name)
    assert not keeps("Losung.txt")


def test_a_time_in_the_future_takes_nobody_s_place() -> None:
    odd = entry(path="debug/demo_9", changed=0.0, arrived=NOW, future=NOW + DAY)
    assert removed([*series(2), odd], Policy(max_count=1)) == [1]
    late = [one._replace(changed=NOW) for one in series(2)]
    assert removed([*late, odd._replace(arrived=NOW - 1)], Policy(max_count=1)) == [1, 2]


def test_of_entries_with_one_time_the_last_stamp_is_the_newest() -> None:
    copied = [entry(path=f"debug/demo_{stamp}", label="demo") for stamp in (1, 3, 2)]
    assert removed(copied, Policy(max_count=1)) == [0, 2]


def test_what_a_clean_began_to_remove_goes_whatever_the_limits() -> None:
    reason = "to be finished: a clean began to remove it, and could not remove all"
    for policy in (
        Policy(),
        Policy(max_age=DAY, keep_within=2 * HOUR, keep_last=3, exclude=("*",)),
    ):
        assert said(policy, unfinished=True, unreadable="Permission denied") == (False, reason)
    for spared in ({"use": OWNER}, {"pin": "why"}, {"mounted": "m"}, {"work": "a commit"}):
        assert verdict(Policy(max_age=DAY), unfinished=True, **spared).keep


def test_entries_beyond_the_count_go_oldest_first() -> None:
    assert removed(series(5), Policy(max_count=3)) == [3, 4]


def test_a_count_is_of_one_name_in_one_category() -> None:
    entries = [
        entry(path="debug/a_1", label="a"),
        entry(path="debug/b_1", label="b"),
        entry(path="cache/a_1", category="cache", label="a"),
    ]
    assert removed(entries, Policy(max_count=1)) == []


@each(
    ("count", "limit", "reason"),
    [
        (2, 1, "over count: 2nd newest of 2 demo, limit 1"),
        (3, 2, "over count: 3rd newest of 3 demo, limit 2"),
        (4, 2, "over count: 4th newest of 4 demo, limit 2"),
        (12, 2, "over count: 12th newest of 12 demo, limit 2"),
        (21, 2, "over count: 21st newest of 21 demo, limit 2"),
        (112, 2, "over count: 112th newest of 112 demo, limit 2"),
        (2, 2, "within limits: 2nd newest of 2 demo, limit 2"),
        (1, 0, "over count: newest of 1 demo, limit 0"),
    ],
)
def test_a_count_names_the_rank(count: int, limit: int, reason: str) -> None:
    assert str(judge(series(count), Policy(max_count=limit), NOW)[-1].reason) == reason


def test_the_oldest_change_goes_first_when_all_together_are_too_big() -> None:
    entries = [*series(4, size=1024), entry(path="cache/x_1", category="cache", size=1024)]
    verdicts = judge(entries, Policy(max_total_size=3 * 1024), NOW)
    assert [v.keep for v in verdicts] == [True, True, False, False, True]
    assert str(verdicts[2].reason) == ("over size: 4.0 KiB with all newer entries, limit 3.0 KiB")
    assert str(verdicts[1].reason) == (
        "within limits: 3.0 KiB with all newer entries, limit 3.0 KiB"
    )


@each(("free", "gone"), [(0, [2, 3]), (1024, [3]), (2048, []), (None, [])])
def test_the_oldest_change_goes_first_when_too_little_is_free(
    free: int | None, gone: list[int]
) -> None:
    assert removed(series(4, size=1024), Policy(min_free_space=2048), free=free) == gone


def test_low_space_names_what_is_free_and_what_is_wanted() -> None:
    verdicts = judge(series(3, size=1024), Policy(min_free_space=2048), NOW, free=1024)
    assert str(verdicts[2].reason) == "low space: 1.0 KiB free, 2.0 KiB wanted, oldest first"
    assert str(verdicts[0].reason) == "within limits: not needed to reach 2.0 KiB free"


_FULL: dict[str, Any] = {"free": 1000, "capacity": 10_000}
"""A disk that is 90 % full."""


def by_cost(**costs: float) -> tuple[tuple[str, Policy], ...]:
    return tuple((name, Policy(cost=cost)) for name, cost in costs.items())


def shared_out(*rows: tuple[str, float, int]) -> list[Entry]:
    """Entries by category, age in days, and size, named by their index."""
    return [
        entry(path=f"{category}/{index}", category=category, changed=NOW - days * DAY, size=size)
        for index, (category, days, size) in enumerate(rows)
    ]


def gone_of(entries: list[Entry], policy: Policy, **disk: Any) -> list[str]:
    return [v.entry.path for v in judge(entries, policy, NOW, **(disk or _FULL)) if not v.keep]


@each(
    ("high", "low", "gone"),
    [
        (0.90, None, []),
        (0.90, 0.5, []),
        (0.89, None, ["debug/2"]),
        (0.89, 0.85, ["debug/2"]),
        (0.85, 0.80, ["debug/1", "debug/2"]),
        (0.85, 0.70, ["debug/0", "debug/1", "debug/2"]),
    ],
)
def test_above_high_water_the_oldest_go_until_less_than_low_water_is_used(
    high: float, low: float | None, gone: list[str]
) -> None:
    entries = shared_out(("debug", 1, 600), ("debug", 2, 600), ("debug", 3, 600))
    assert gone_of(entries, Policy(high_water=high, low_water=low)) == gone


def test_at_the_low_mark_is_not_below_it() -> None:
    entries = shared_out(("debug", 1, 600), ("debug", 2, 500), ("debug", 3, 500))
    assert gone_of(entries, Policy(high_water=0.85, low_water=0.80)) == [
        "debug/0", "debug/1", "debug/2",
    ]  # fmt: skip


@each(("free", "capacity"), [(None, 10_000), (0, None), (0, 0), (None, None)])
def test_no_water_mark_counts_on_a_disk_of_which_nothing_is_known(
    free: int | None, capacity: int | None
) -> None:
    policy = Policy(high_water=0.1, low_water=0.0)
    assert gone_of(shared_out(("debug", 1, 600)), policy, free=free, capacity=capacity) == []


def test_what_is_cheapest_to_make_again_goes_first_and_of_that_the_oldest() -> None:
    entries = shared_out(("work", 9, 600), ("cache", 1, 600), ("debug", 3, 600), ("cache", 2, 600))
    policy = Policy(high_water=0.85, low_water=0.845, categories=by_cost(cache=0.5, work=10))
    assert gone_of(entries, policy) == ["cache/3"]
    assert gone_of(entries, policy._replace(low_water=0.80)) == ["cache/1", "cache/3"]
    assert gone_of(entries, policy._replace(low_water=0.75)) == ["cache/1", "debug/2", "cache/3"]


def test_min_free_space_goes_by_cost_as_well() -> None:
    entries = shared_out(("work", 9, 600), ("cache", 1, 600))
    policy = Policy(min_free_space=1500, categories=by_cost(work=2))
    assert gone_of(entries, policy) == ["cache/1"]
    (_, verdict) = judge(entries, policy, NOW, **_FULL)
    assert str(verdict.reason) == "low space: 1000 B free, 1.5 KiB wanted, cost 1"


def test_the_reasons_say_how_full_the_disk_is_and_the_cost() -> None:
    entries = shared_out(("work", 9, 600), ("cache", 1, 600))
    policy = Policy(high_water=0.85, low_water=0.86 - 0.01, categories=by_cost(work=2.5))
    work, cache = judge(entries, policy, NOW, **_FULL)
    assert str(cache.reason) == "low space: disk 90 % full > high_water 85 %; cost 1"
    assert str(work.reason) == (
        "within limits: disk 90 % full > high_water 85 %; cost 2.5; "
        "not needed to reach low_water 85 %"
    )
    (verdict, _) = judge(entries, policy, NOW, free=1500, capacity=10_000)
    assert str(verdict.reason) == "within limits: disk 85 % full ≤ high_water 85 %"


def test_what_archives_free_before_is_not_asked_of_entries() -> None:
    entries = shared_out(("debug", 1, 600), ("debug", 2, 600))
    policy = Policy(high_water=0.85, low_water=0.80)
    assert gone_of(entries, policy, **_FULL, coming=500) == ["debug/1"]
    assert gone_of(entries, policy, **_FULL, coming=1001) == []
    (archived,) = archives_to_drop([entry(size=10)], policy, **_FULL)
    assert str(archived[1]) == "low space: 1000 B free, 2.0 KiB wanted, oldest archives first"


def test_what_a_hard_link_elsewhere_keeps_is_not_counted_as_freed() -> None:
    entries = shared_out(("debug", 1, 600), ("debug", 2, 600), ("debug", 3, 600))
    linked = [one._replace(links=(link(500),)) for one in entries]
    policy = Policy(high_water=0.89)
    assert gone_of(entries, policy) == ["debug/2"]
    assert gone_of(linked, policy) == ["debug/1", "debug/2"]


def test_protections_veto_under_pressure_and_doom_no_other_entry() -> None:
    used, other = shared_out(("debug", 2, 600), ("debug", 1, 600))
    policy = Policy(high_water=0.89)
    assert gone_of([used, other], policy) == ["debug/0"]
    assert gone_of([used._replace(use=Use("owner", "x")), other], policy) == []
    assert gone_of([used._replace(pin="why"), other], policy) == []


def dropped(policy: Policy, free: int | None, **overrides: Any) -> list[str]:
    """Of three archives of a KiB each, the oldest first, those that go; by name."""
    archives = [
        entry(**{"path": f"a{day}", "changed": NOW - day * DAY, "size": 1024, **overrides})
        for day in (1, 3, 2)
    ]
    return [archived.path for archived, _ in archives_to_drop(archives, policy, free=free)]


@each(
    ("free", "gone"),
    [(4096, []), (4095, ["a3"]), (3072, ["a3"]), (3071, ["a3", "a2"]), (0, ["a3", "a2", "a1"])],
)
def test_the_oldest_archives_go_until_enough_would_be_free(free: int, gone: list[str]) -> None:
    assert dropped(Policy(min_free_space=4096), free) == gone


def test_no_archive_goes_where_nobody_asked_for_free_space_or_can_tell() -> None:
    assert dropped(Policy(everything=True, max_age=0), 0) == []
    assert dropped(Policy(min_free_space=4096), None) == []


def test_a_pinned_archive_stays_and_what_a_link_outside_keeps_does_not_count() -> None:
    assert dropped(Policy(min_free_space=1024), 0, pin="why") == []
    assert dropped(Policy(min_free_space=1024), 0, shared=512) == ["a3", "a2"]


def test_an_archive_goes_with_its_reason() -> None:
    ((_, reason),) = archives_to_drop([entry(size=1)], Policy(min_free_space=2048), free=1024)
    assert str(reason) == "low space: 1.0 KiB free, 2.0 KiB wanted, oldest archives first"


@each(
    ("hours", "undo_hours", "why"),
    [
        (25, 24, "undo time is over: 25 h > 24 h"),
        (24.001, 24, "undo time is over: 24.001 h > 24 h"),
        (24, 24, None),
        (23, 24, None),
        (0, 0, "undo time is over: 0 s ≥ 0 s"),
        (-5, 24, None),
        (1e6, None, None),
    ],
)
def test_what_was_set_aside_goes_when_its_own_time_is_over(
    hours: float, undo_hours: float | None, why: str | None
) -> None:
    undo_for = None if undo_hours is None else undo_hours * HOUR
    said = undo_over(NOW - hours * HOUR, undo_for, NOW)
    assert said is None if why is None else str(said) == why


def forgotten(
    policy: Policy, free: int | None, capacity: int | None = None, **overrides: Any
) -> list[str]:
    """Of three of a KiB each that were set aside for two days, those that go; by name."""
    held = [
        (entry(**{"path": f"u{day}", "changed": NOW - day * DAY, "size": 1024, **overrides}), two)
        for day, two in ((1, 2 * DAY), (3, 2 * DAY), (1.5, 2 * DAY))
    ]
    return [
        one.path for one, _ in undoable_to_forget(held, policy, NOW, free=free, capacity=capacity)
    ]


@each(
    ("free", "gone"),
    [
        (None, ["u3"]),
        (3072, ["u3"]),
        (3071, ["u3", "u1.5"]),
        (0, ["u3", "u1.5", "u1"]),
    ],
)
def test_what_is_past_its_time_goes_first_and_then_the_oldest_until_enough_is_free(
    free: int | None, gone: list[str]
) -> None:
    assert forgotten(Policy(min_free_space=4096), free) == gone


def test_what_is_past_its_time_may_not_be_enough_to_come_below_the_low_water() -> None:
    marks = Policy(high_water=0.85, low_water=0.8)
    assert forgotten(marks, 1000, 10_000, size=600) == ["u3", "u1.5"]
    assert forgotten(marks, 1600, 10_000, size=600) == ["u3"], "it is not above the high water"


def test_what_is_pinned_among_what_was_set_aside_stays() -> None:
    assert forgotten(Policy(min_free_space=4096), 0, pin="why") == []


def test_what_is_not_past_its_time_goes_with_its_reason() -> None:
    held = [(entry(changed=NOW, size=1), DAY)]
    ((_, reason),) = undoable_to_forget(held, Policy(min_free_space=2048), NOW, free=1024)
    assert str(reason) == "low space: 1.0 KiB free, 2.0 KiB wanted, set-aside entries first"


def test_everything_goes_that_was_asked_for() -> None:
    assert said(EVERYTHING) == (False, "everything: requested, regardless of age")


def test_everything_goes_where_no_policy_is_configured() -> None:
    assert said(Policy(everything=True, unconfigured=True)) == (False, "no policy configured")


def test_an_abandoned_entry_goes_in_words_of_its_own() -> None:
    assert said(ABANDONED) == (
        False,
        "abandoned: its process has ended",
    )


def test_without_a_limit_nothing_goes() -> None:
    assert said(Policy(keep_last=0), changed=0.0) == (True, "no limit: none applies to it")


def test_every_limit_that_names_an_entry_is_among_its_reasons() -> None:
    policy = Policy(max_age=HOUR, max_count=0, max_total_size=0, min_free_space=1)
    rules = [reason.rule for reason in verdict(policy, changed=0.0, free=0).reasons]
    assert rules == ["expired", "over count", "over size", "low space"]


def test_the_limits_that_an_entry_is_within_are_all_named() -> None:
    policy = Policy(max_age=DAY, max_count=3)
    assert verdict(policy).reason.evidence == "1 h ≤ 24 h; newest of 1 demo, limit 3"


# -- protections ------------------------------------------------------------------------------

_PROTECTED: list[tuple[dict[str, Any], Policy, str]] = [
    ({"use": OWNER}, EVERYTHING, "in use: python (pid 7)"),
    ({"use": MINE}, Policy(max_age=0), "in use: python (pid 8)"),
    ({"use": MINE}, ABANDONED, "in use: python (pid 8)"),
    ({"pin": "for the paper"}, EVERYTHING, "pinned: for the paper"),
    ({"pin": ""}, EVERYTHING, "pinned: no reason given"),
    ({}, Policy(everything=True, exclude=("x", "demo*")), "excluded: matches demo*"),
    (
        {},
        Policy(everything=True, keep_last=1),
        "keep last: newest of 1 demo, keep_last is 1",
    ),
    ({}, Policy(everything=True, keep_within=2 * HOUR), "keep within: 1 h ≤ 2 h"),
    ({}, Policy(everything=True, keep_within=HOUR), "keep within: 60 min ≤ 60 min"),
    ({"arrived": NOW}, Policy(max_count=0, keep_within=1.0), "keep within: 0 s ≤ 1 s"),
    ({"mounted": "debug/x"}, EVERYTHING, "mounted: another filesystem is mounted at debug/x"),
    (
        {"unreadable": "Permission denied in a"},
        Policy(max_age=0),
        "unreadable: Permission denied in a, so its age is unknown",
    ),
]


@each(("overrides", "policy", "reason"), _PROTECTED)
def test_a_protected_entry_stays_and_says_why(
    overrides: dict[str, Any], policy: Policy, reason: str
) -> None:
    keep, text = said(policy, **overrides)
    assert keep
    assert text == reason


@each("name", STRATEGIES)
@each("protection", [{"use": OWNER}, {"use": MINE}, {"pin": "why"}, {"mounted": "m"}])
def test_no_strategy_overrides_a_protection(name: str, protection: dict[str, Any]) -> None:
    assert verdict(STRATEGIES[name], changed=0.0, **protection).keep


@each(
    ("overrides", "policy"),
    [
        ({"use": MINE}, EVERYTHING),
        ({"use": OWNER}, Policy(everything=True, spare_in_use=False)),
        ({}, Policy(everything=True, exclude=("x", "?emo"))),
        ({}, Policy(everything=True, keep_last=0)),
        ({}, Policy(everything=True, keep_within=HOUR / 2)),
        ({"changed": NOW}, Policy(everything=True, keep_within=0)),
        ({"unreadable": "Permission denied"}, EVERYTHING),
        ({"unreadable": "Permission denied"}, ABANDONED),
    ],
)
def test_what_does_not_protect_lets_the_entry_go(overrides: dict[str, Any], policy: Policy) -> None:
    assert not verdict(policy, **overrides).keep


def test_a_protected_entry_also_says_what_would_have_taken_it() -> None:
    reasons = verdict(Policy(max_age=HOUR), changed=0.0, pin="why", use=OWNER).reasons
    assert [(reason.rule, reason.effect) for reason in reasons] == [
        ("in use", "stays"),
        ("pinned", "stays"),
        ("expired", "goes"),
    ]


def test_only_the_newest_are_kept_last() -> None:
    assert removed(series(4), Policy(everything=True, keep_last=2)) == [2, 3]


def test_a_protected_entry_still_counts_and_dooms_no_other() -> None:
    entries = series(3)
    entries[0] = entries[0]._replace(pin="why")
    assert removed(entries, Policy(max_count=1)) == removed(series(3), Policy(max_count=1))


@each(
    ("pattern", "matches"),
    [
        ("debug/demo_*", True),
        ("demo_1699990000", True),
        ("debug", True),
        ("debug/", True),
        ("/debug/*", True),
        ("d?bug/**", True),
        ("demo_[0-9]*", True),
        ("demo", False),
        ("Debug", False),
        ("debug/demo", False),
        ("bug", False),
        ("", False),
    ],
)
def test_a_pattern_is_a_glob_for_the_path_the_name_or_the_category(
    pattern: str, matches: bool
) -> None:
    assert matching_pattern(entry(), ["nothing", pattern]) == (pattern if matches else None)


# -- categories -------------------------------------------------------------------------------


def test_the_policy_of_a_category_replaces_the_general_one_there() -> None:
    entries = [
        entry(path="cache/a_1", category="cache", changed=NOW - 9 * DAY),
        entry(path="debug/a_1", changed=NOW - 9 * DAY),
        entry(path="test/a_1", category="test", changed=NOW - 2 * HOUR),
    ]
    policy = Policy(
        max_age=DAY,
        categories=(("cache", Policy(max_age=30 * DAY)), ("test", Policy(max_age=HOUR))),
    )
    assert removed(entries, policy) == [1, 2]


def test_the_size_of_a_category_counts_only_its_own_entries() -> None:
    entries = [*series(3, size=1024), *(e._replace(category="cache") for e in series(3, size=1024))]
    policy = Policy(categories=(("cache", Policy(max_total_size=2048)),))
    verdicts = judge(entries, policy, NOW)
    assert [v.keep for v in verdicts] == [True] * 5 + [False]
    assert str(verdicts[5].reason) == (
        "over size: 3.0 KiB with newer entries in its category, limit 2.0 KiB"
    )


def test_the_size_of_all_entries_also_counts_those_of_a_category_with_a_size_of_its_own() -> None:
    entries = [
        *series(2, size=1024),
        entry(path="cache/a_1", category="cache", size=1024, changed=NOW - 9 * DAY),
    ]
    policy = Policy(max_total_size=2048, categories=(("cache", Policy(max_total_size=9999)),))
    assert removed(entries, policy) == [2]


def test_the_wanted_free_space_also_takes_from_a_category_with_a_policy_of_its_own() -> None:
    policy = Policy(min_free_space=2048, categories=(("debug", Policy(max_age=30 * DAY)),))
    assert removed(series(3, size=1024), policy, free=1024) == [2]


@each(
    ("policy", "has"),
    [
        (Policy(), False),
        (EVERYTHING, False),
        (Policy(keep_last=3, exclude=("x",), keep_within=1.0), False),
        (Policy(max_age=0), True),
        (Policy(max_count=0), True),
        (Policy(max_total_size=0), True),
        (Policy(min_free_space=0), True),
        (Policy(categories=(("a", Policy(keep_last=1)),)), False),
        (Policy(categories=(("a", Policy(max_count=1)),)), True),
    ],
)
def test_a_policy_knows_whether_it_has_a_limit(policy: Policy, has: bool) -> None:
    assert policy.has_limit is has


@each(
    ("name", "count", "days"),
    [("aggressive", 3, 3), ("moderate", 5, 7), ("conservative", 14, 30), ("archive", 5, 7)],
)
def test_a_strategy_takes_a_run_over_either_of_its_numbers(
    name: str, count: int, days: int
) -> None:
    policy = STRATEGIES[name]
    many = [e._replace(changed=NOW - i * HOUR) for i, e in enumerate(series(count + 2))]
    assert removed(many, policy) == [count, count + 1]
    assert verdict(policy, changed=NOW - days * DAY - 1).keep is False
    assert verdict(policy, changed=NOW - days * DAY).keep is True


# -- explaining -------------------------------------------------------------------------------


def test_an_explanation_has_what_every_rule_that_applies_says() -> None:
    policy = Policy(
        max_age=DAY, max_count=3, max_total_size=9999, min_free_space=9, keep_last=0,
        keep_within=60.0, exclude=("x", "y"),
    )  # fmt: skip
    found, reasons = explain([entry()], policy, NOW, entry().path, free=10)
    assert found == judge([entry()], policy, NOW, free=10)[0]
    assert {reason.rule: reason.effect for reason in reasons} == dict.fromkeys(
        [
            *("in use", "pinned", "excluded", "keep last", "keep within"),
            *("max age", "max count", "max total size", "min free space"),
        ],
        "silent",
    )
    evidence = {reason.rule: reason.evidence for reason in reasons}
    assert evidence["in use"] == "by no process"
    assert evidence["pinned"] == "no"
    assert evidence["excluded"] == "matches none of x, y"
    assert evidence["keep last"] == "newest of 1 demo, keep_last is 0"
    assert evidence["keep within"] == "60 min > 60 s"


@pytest.mark.parametrize(
    ("policy", "overrides", "evidence"),
    [
        (EVERYTHING, {"use": MINE}, "by this process, which requested everything"),
        (
            Policy(spare_in_use=False),
            {"use": OWNER},
            "python (pid 7), overridden by --include-in-use",
        ),
        (EVERYTHING, {"unreadable": "no"}, "no, but its age does not matter"),
    ],
)
def test_a_protection_that_is_overridden_says_by_what(
    policy: Policy, overrides: dict[str, Any], evidence: str
) -> None:
    _, reasons = explain([entry(**overrides)], policy, NOW, entry().path)
    assert evidence in [reason.evidence for reason in reasons if reason.effect == "silent"]


def test_an_entry_that_is_not_there_cannot_be_explained() -> None:
    with pytest.raises(LookupError, match="debug/none"):
        explain([entry()], Policy(), NOW, "debug/none")


@each(
    ("policy", "overrides", "sentence"),
    [
        (
            EVERYTHING,
            {"use": OWNER},
            "It can go when that process has ended, or with --include-in-use --name.",
        ),
        (EVERYTHING, {"pin": "x"}, "It can go after `temp-unpin`."),
        (
            Policy(everything=True, exclude=("demo*",)),
            {},
            "It can go when no pattern in `exclude` matches it.",
        ),
        (
            Policy(everything=True, keep_last=1),
            {},
            "It can go when newer ones of its name exist or keep_last is smaller.",
        ),
        (
            Policy(everything=True, keep_within=DAY),
            {},
            "It can go when it has been unchanged for longer.",
        ),
        (
            Policy(max_age=0),
            {"unreadable": "x"},
            "It can go with --everything, or once it can be read.",
        ),
        (EVERYTHING, {"mounted": "x"}, "It can go when that filesystem is unmounted."),
        (Policy(), {}, "It can go with --everything or under a policy."),
        (
            Policy(max_age=DAY),
            {},
            "It can go when it is over one of these limits, or with --everything.",
        ),
        (
            Policy(max_age=DAY),
            {"pin": "x"},
            "It can go after `temp-unpin`, and when it is over a limit, or with --everything.",
        ),
        (
            EVERYTHING,
            {"pin": "x", "use": OWNER},
            "It can go when that process has ended, or with --include-in-use --name, "
            "and after `temp-unpin`.",
        ),
        (
            EVERYTHING,
            {},
            "It stays if it is pinned (`temp-pin`), if `exclude` matches it, "
            "or while a process uses it.",
        ),
    ],
)
def test_it_is_said_what_would_turn_a_verdict_around(
    policy: Policy, overrides: dict[str, Any], sentence: str
) -> None:
    assert what_would_change(verdict(policy, **overrides)) == sentence


def test_a_reason_without_evidence_is_its_rule() -> None:
    assert str(Reason("everything", "goes", "")) == "everything"


def test_judging_leaves_the_garbage_collector_on() -> None:
    seen = []

    class Watching(Entry):
        @property
        def use(self) -> None:
            seen.append(gc.isenabled())

    judge([Watching(*entry())], EVERYTHING, NOW)
    assert seen
    assert all(seen)


@each(
    ("policy", "overrides", "goes_in"),
    [
        (Policy(max_age=DAY), {}, 23 * HOUR),
        (Policy(max_age=DAY, max_count=9), {}, 23 * HOUR),
        (Policy(max_age=DAY, keep_within=3 * DAY), {}, 71 * HOUR),
        (Policy(max_age=HOUR / 2, keep_within=2 * HOUR), {}, HOUR),
        (Policy(max_age=DAY), {"changed": NOW - DAY}, 0),
        (Policy(max_age=HOUR / 2), {}, 0),
        (Policy(max_count=0), {}, 0),
        (Policy(max_count=9), {}, None),
        (Policy(), {}, None),
        (Policy(max_age=DAY), {"pin": ""}, None),
        (Policy(max_age=DAY), {"use": OWNER}, None),
        (Policy(max_age=DAY, keep_last=1), {}, None),
        (Policy(max_age=DAY), {"future": True}, None),
        (Policy(max_age=DAY, categories=(("debug", Policy(max_age=2 * DAY)),)), {}, 47 * HOUR),
    ],
)
def test_a_verdict_says_when_age_alone_makes_the_entry_go(
    policy: Policy, overrides: dict[str, Any], goes_in: float | None
) -> None:
    (verdict,) = judge([entry(**overrides)], policy, NOW)
    assert verdict.goes_in == goes_in


# -- what holds whatever the entries and the policy are -----------------------------------------

CATEGORIES = ("debug", "cache", "uncategorized")
# Every test has a directory of its own, which these do not use: one for all examples will do.
examples = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
_hours = st.sampled_from([0, 24, 48, 72])
_ages = st.one_of(st.integers(-5, 100), _hours).map(lambda h: h * HOUR)
_spans = st.one_of(st.integers(0, 100), _hours).map(lambda h: h * HOUR)
_sizes = st.integers(0, 20).map(lambda blocks: blocks * 512)
_FIRST, _SECOND = link(512, 1, names=3), link(512, 2, names=2)


_ENDINGS = [ending for ending in get_args(Ending) if ending]


@st.composite
def _one_entry(draw: st.DrawFn) -> Entry:
    age, label = draw(_ages), draw(st.sampled_from("abc"))
    use = draw(st.sampled_from([None, None, None, OWNER, MINE]))
    return entry(
        category=draw(st.sampled_from(CATEGORIES)),
        label=label,
        arrived=NOW - draw(_ages),
        used=draw(st.sampled_from([0.0, 0.0, NOW - 24 * HOUR])),
        changed=NOW - age,
        changed_in=draw(st.sampled_from(["", "a/b.txt"])),
        size=draw(_sizes) + 1024,
        inodes=draw(st.integers(2, 9)),
        links=draw(st.sampled_from([(), (), (_FIRST,), (_FIRST, _SECOND)])),
        future=draw(st.sampled_from([0.0, 0.0, 0.0, NOW + 48 * HOUR])),
        unfinished=draw(st.sampled_from([False, False, False, True])),
        use=use,
        pin=draw(st.sampled_from([None, None, None, "", "why"])),
        unreadable=draw(st.sampled_from([None, None, None, "Permission denied"])),
        mounted=draw(st.sampled_from([None, None, None, "mnt"])),
        ending=draw(st.sampled_from(["", *_ENDINGS])),
    )


@st.composite
def _entries(draw: st.DrawFn) -> list[Entry]:
    drawn = draw(st.lists(_one_entry(), max_size=12))
    return [
        e._replace(path=f"{e.category}/{e.label}_{1_600_000_000 + index}")
        for index, e in enumerate(drawn)
    ]


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


_CAPACITY = 40_000
_shares = st.integers(0, 20).map(lambda twentieth: twentieth / 20)
_LIMITS: dict[str, st.SearchStrategy[Any]] = {
    "max_age": _maybe(_spans),
    "max_count": _maybe(st.integers(0, 4)),
    "max_total_size": _maybe(_sizes),
    "max_files": _maybe(st.integers(0, 40)),
    "min_free_space": _maybe(_sizes),
    "high_water": _maybe(_shares),
    "low_water": _maybe(_shares),
    "cost": st.sampled_from([0.0, 1.0, 1.0, 2.5]),
}
_PROTECTIONS: dict[str, st.SearchStrategy[Any]] = {
    "exclude": st.sampled_from([(), (), ("a_*",), ("cache/",), ("debug/b*", "c_*")]),
    "keep_last": _maybe(st.integers(0, 3)),
    "keep_last_good": _maybe(st.integers(0, 2)),
    "keep_within": _maybe(_spans),
    "keep_files": st.just(()),
}
# Every field is given: one left out is made up from its type, which is recursive.
_flat = st.builds(
    Policy,
    everything=st.booleans(),
    abandoned=st.just(False),
    spare_in_use=st.booleans(),
    categories=st.just(()),
    **_LIMITS,
    **_PROTECTIONS,
)
_policies = st.builds(
    lambda base, own: base._replace(categories=tuple(sorted(own.items()))),
    _flat,
    st.dictionaries(st.sampled_from(CATEGORIES), _flat, max_size=2),
)
_frees = _maybe(_sizes)


def _gone(entries: list[Entry], policy: Policy, free: int | None) -> set[str]:
    verdicts = judge(entries, policy, NOW, free=free, capacity=_CAPACITY)
    return {v.entry.path for v in verdicts if not v.keep}


def _changed_somewhere(policy: Policy, where: str | None, **changes: Any) -> Policy:
    """`policy` with `changes`, in one of its categories or (`None`) in itself."""
    if where is None:
        return policy._replace(**changes)
    return policy._replace(
        categories=tuple(
            (name, own._replace(**changes) if name == where else own)
            for name, own in policy.categories
        ),
    )


def _of(policy: Policy, where: str | None) -> Policy:
    return policy if where is None else policy.of(where)


def _places(policy: Policy) -> st.SearchStrategy[str | None]:
    return st.sampled_from([None, *(name for name, _ in policy.categories)])


@examples
@given(_entries(), _policies, _frees, st.data())
def test_what_is_needed_of_an_entry_decides_as_all_of_it_would(
    entries: list[Entry], policy: Policy, free: int | None, data: st.DataObject
) -> None:
    seen = []
    for whole in entries:
        need = needed(policy, whole.category, NOW, sizes=False)
        if whole.unfinished:
            seen.append(whole)
        elif not need.inside:
            when = float(data.draw(st.integers(0, 2 * int(NOW))))
            seen.append(whole._replace(size=0, links=(), changed=when, partial=True))
        elif need.enough is not None and whole.changed >= need.enough:
            when = data.draw(st.floats(need.enough, whole.changed))
            seen.append(whole._replace(size=0, links=(), changed=when, partial=True))
        else:
            seen.append(whole)
    assert _gone(seen, policy, free) == _gone(entries, policy, free)


def test_sizes_are_needed_where_they_are_asked_for_or_limited() -> None:
    assert needed(EVERYTHING, "debug", NOW, sizes=True) == WHOLE
    assert needed(EVERYTHING._replace(max_total_size=1), "debug", NOW, sizes=False) == WHOLE
    assert not needed(EVERYTHING, "debug", NOW, sizes=False).inside


def test_one_change_is_enough_where_age_alone_is_limited() -> None:
    enough = needed(Policy(max_age=HOUR), "debug", NOW, sizes=True).enough
    assert enough == pytest.approx(NOW - HOUR, abs=0.01)
    assert needed(Policy(max_age=0), "debug", NOW, sizes=True) == WHOLE
    assert needed(Policy(max_age=HOUR, keep_last=1), "debug", NOW, sizes=True) == WHOLE


def test_an_entry_of_which_not_all_was_seen_does_not_name_its_newest_change() -> None:
    reason = said(Policy(max_age=DAY), changed_in="a/b", partial=True)[1]
    assert reason == "within limits: 1 h ≤ 24 h, changed in a/b"


@examples
@given(_entries(), _policies, _frees, st.data())
def test_each_entry_gets_one_verdict_with_its_reasons_whatever_their_order(
    entries: list[Entry], policy: Policy, free: int | None, data: st.DataObject
) -> None:
    verdicts = judge(iter(entries), policy, NOW, free=free, capacity=_CAPACITY)
    assert [v.entry for v in verdicts] == entries
    for v in verdicts:
        assert v.reason.effect == ("stays" if v.keep else "goes")
        assert all(str(reason) for reason in v.reasons)
        assert v.keep or all(reason.effect == "goes" for reason in v.reasons)
        assert what_would_change(v).endswith(".")
    shuffled = data.draw(st.permutations(entries))
    again = judge(shuffled, policy, NOW, free=free, capacity=_CAPACITY)
    assert sorted(again, key=lambda v: v.entry.path) == sorted(verdicts, key=lambda v: v.entry.path)
    if verdicts:
        v = data.draw(st.sampled_from(verdicts))
        found, reasons = explain(entries, policy, NOW, v.entry.path, free=free, capacity=_CAPACITY)
        assert found == v
        assert {r for r in reasons if r.effect == "stays"} >= {
            r
            for r in v.reasons
            if r.effect == "stays" and r.rule not in ("no limit", "within limits")
        }


@examples
@given(_entries(), _policies, _frees, st.data())
def test_raising_a_limit_never_removes_more(
    entries: list[Entry], policy: Policy, free: int | None, data: st.DataObject
) -> None:
    where = data.draw(_places(policy))
    name = data.draw(st.sampled_from(["max_age", "max_count", "max_total_size", "max_files"]))
    limit = getattr(_of(policy, where), name)
    if limit is not None:
        higher = data.draw(st.one_of(st.none(), st.integers(0, 40_000).map(lambda n: limit + n)))
        raised = _changed_somewhere(policy, where, **{name: higher})
        assert _gone(entries, raised, free) <= _gone(entries, policy, free)


@examples
@given(_entries(), _policies, _frees, st.data())
def test_asking_for_less_free_space_never_removes_more(
    entries: list[Entry], policy: Policy, free: int | None, data: st.DataObject
) -> None:
    wanted = policy.min_free_space
    if wanted is not None:
        less = data.draw(st.one_of(st.none(), st.integers(0, wanted)))
        asked = policy._replace(min_free_space=less)
        assert _gone(entries, asked, free) <= _gone(entries, policy, free)


@examples
@given(_entries(), _policies, _frees, st.data())
def test_higher_water_marks_never_remove_more(
    entries: list[Entry], policy: Policy, free: int | None, data: st.DataObject
) -> None:
    for name in ("high_water", "low_water"):
        mark = getattr(policy, name)
        if mark is not None and policy.low_water is not None:
            raised = policy._replace(**{name: mark + data.draw(st.integers(0, 20)) / 20})
            assert _gone(entries, raised, free) <= _gone(entries, policy, free)


@examples
@given(_entries(), _policies, st.integers(0, 10_000), st.integers(0, 10_000))
def test_more_free_space_never_removes_more(
    entries: list[Entry], policy: Policy, free: int, more: int
) -> None:
    assert _gone(entries, policy, free + more) <= _gone(entries, policy, free)


@examples
@given(_entries(), _policies, _frees, st.data())
def test_a_protection_in_the_policy_never_removes_more(
    entries: list[Entry], policy: Policy, free: int | None, data: st.DataObject
) -> None:
    where = data.draw(_places(policy))
    own = _of(policy, where)
    change: dict[str, Any] = data.draw(
        st.one_of(
            st.integers(0, 4).map(lambda n: {"keep_last": (own.keep_last or 0) + n}),
            st.integers(0, 4).map(lambda n: {"keep_last_good": (own.keep_last_good or 1) + n}),
            _spans.map(lambda a: {"keep_within": (own.keep_within or 0.0) + a}),
            st.sampled_from(["a_*", "cache", "*", "b_16*"]).map(
                lambda glob: {"exclude": (*own.exclude, glob)}
            ),
            st.just({"spare_in_use": True}),
            st.just({"everything": False}),
        )
    )
    protected = _changed_somewhere(policy, where, **change)
    assert _gone(entries, protected, free) <= _gone(entries, policy, free)


@examples
@given(_entries().filter(bool), _policies, _frees, st.data())
def test_protecting_an_entry_keeps_it_and_never_removes_another(
    entries: list[Entry], policy: Policy, free: int | None, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(entries) - 1))
    protection: dict[str, Any] = data.draw(
        st.sampled_from(
            [
                {"pin": "why"},
                {"use": OWNER},
                {"mounted": "mnt"},
                {"unreadable": "Permission denied"},
            ]
        )
    )
    changed = [e._replace(**protection) if i == index else e for i, e in enumerate(entries)]
    before, after = _gone(entries, policy, free), _gone(changed, policy, free)
    assert after <= before
    assert before - after <= {entries[index].path}
    if "pin" in protection or "mounted" in protection:
        assert entries[index].path not in after


@examples
@given(_entries(), _policies)
def test_a_time_in_the_future_dooms_no_other(entries: list[Entry], policy: Policy) -> None:
    policy = policy.everywhere(max_total_size=None, max_files=None)  # these count, whoever has them
    ahead = {one.path for one in entries if one.future}
    without = [one for one in entries if one.path not in ahead]
    assert _gone(entries, policy, None) - ahead == _gone(without, policy, None)


@examples
@given(_entries(), _spans.map(lambda span: Policy(max_age=span)))
def test_an_entry_is_never_older_than_its_arrival(entries: list[Entry], policy: Policy) -> None:
    assert policy.max_age is not None
    for v in judge(entries, policy, NOW):
        if v.reason.rule == "expired":
            assert max(0.0, NOW - v.entry.arrived) >= policy.max_age


@examples
@given(_entries(), _policies, _frees)
def test_what_nothing_protects_goes_at_age_zero(
    entries: list[Entry], policy: Policy, free: int | None
) -> None:
    bare = [
        e._replace(use=None, pin=None, mounted=None, unreadable=None, ending="") for e in entries
    ]
    assert _gone(bare, Policy(max_age=0), free) == {e.path for e in bare}


@examples
@given(
    _entries(),
    st.one_of(st.sampled_from([*STRATEGIES.values()]), _policies),
    _frees,
    st.integers(1, 3),
)
def test_the_newest_good_runs_of_a_name_are_in_no_plan(
    entries: list[Entry], policy: Policy, free: int | None, count: int
) -> None:
    gone = _gone(entries, policy.everywhere(keep_last_good=count), free)
    # What is half removed is no good run, and a time in the future tells of no newest one.
    good = [e for e in entries if e.ending == "success" and not (e.unfinished or e.future)]
    good.sort(key=lambda e: (-e.last, e.path))
    for group in {(e.category, e.label) for e in good}:
        newest = [e.path for e in good if (e.category, e.label) == group][:count]
        assert not gone & {*newest}


@examples
@given(_entries(), _entries(), _policies, _frees)
def test_a_failed_run_takes_no_good_ones_place(
    entries: list[Entry], more: list[Entry], policy: Policy, free: int | None
) -> None:
    policy = policy.everywhere(max_total_size=None)  # which counts bytes, whoever has them
    failed = [e._replace(path=f"{e.path}-f", ending="failed") for e in more]
    before, after = _gone(entries, policy, free), _gone([*entries, *failed], policy, free)
    assert {e.path for e in entries if e.ending == "success"} & after <= before


@each(
    ("endings", "policy", "kept"),
    [
        ("fffg", Policy(max_count=2), [0, 1, 3]),
        ("fffg", Policy(max_age=0), [3]),
        ("fffg", Policy(max_age=0, keep_last_good=0), []),
        ("ffgg", Policy(max_age=0, keep_last_good=2), [2, 3]),
        ("duug", Policy(max_age=0), [1, 3]),
        ("fg", Policy(everything=True), []),
        ("fg", Policy(everything=True, unconfigured=True), [1]),
        ("fgg", Policy(everything=True, keep_last_good=1), [1]),
        ("vg", Policy(max_age=0), [1]),
        ("rgg", Policy(max_count=2), [0, 1]),
        ("rgg", Policy(max_count=1), [0, 1]),
        ("ffff", Policy(keep_last=2, max_age=0), [0, 1]),
        ("fgfg", Policy(keep_last=2, max_age=0), [0, 1, 3]),
    ],
)
def test_which_runs_stay_by_how_they_ended(endings: str, policy: Policy, kept: list[int]) -> None:
    words = {"f": "failed", "g": "success", "d": "died", "u": "unknown", "v": "given up"}
    runs = [
        entry(
            path=f"run_{index}", category="pipeline", ending=words.get(ending, "running")
        )._replace(changed=NOW - HOUR * (index + 1))
        for index, ending in enumerate(endings)
    ]
    verdicts = judge(runs, policy, NOW)
    assert [index for index, verdict in enumerate(verdicts) if verdict.keep] == kept


def test_a_protection_that_no_policy_sets_is_asked_for_every_entry_that_it_may_keep() -> None:
    """`judge` asks it only where the field of the entry says something."""
    assert {rule for rule, fields in PROTECTION_RULES.items() if not fields} == set(OF_ENTRY)
