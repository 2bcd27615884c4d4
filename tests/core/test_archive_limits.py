"""Which archived entries are removed because of their age or their total size."""

from __future__ import annotations

from common.temp.core.archive_limits import NO_LIMITS, ArchiveLimits, archives_over
from common.temp.core.units import DAY
from tests.each import each
from tests.support import entry

NOW = 1_800_000_000.0
HELD = [
    entry(path=f"x{days}", changed=NOW - days * DAY, size=100, pin="kept" if days == 50 else None)
    for days in (1, 95, 10, 50, 91)
]


def gone(limits: ArchiveLimits) -> list[tuple[str, str]]:
    return [(one.path, str(reason)) for one, reason in archives_over(HELD, limits, NOW)]


def test_what_was_archived_too_long_ago_goes_the_oldest_first() -> None:
    assert gone(ArchiveLimits(keep=90 * DAY)) == [
        ("x95", "archive expired: archived for 95 d > 90 d"),
        ("x91", "archive expired: archived for 91 d > 90 d"),
    ]


@each(("size", "left"), [(500, 5), (499, 4), (200, 3), (0, 1)])
def test_the_oldest_go_until_the_others_are_small_enough_and_a_pinned_one_counts(
    size: int, left: int
) -> None:
    assert len(HELD) - len(gone(ArchiveLimits(max_size=size))) == left


def test_the_reason_says_how_much_there_is() -> None:
    assert gone(ArchiveLimits(max_size=450))[0] == (
        "x95",
        "archive over size: 500 B with all newer archives, limit 450 B",
    )


def test_all_go_at_no_time_and_none_without_a_limit() -> None:
    assert [path for path, _ in gone(ArchiveLimits(keep=0))] == ["x95", "x91", "x10", "x1"]
    assert gone(NO_LIMITS) == []


def test_a_clock_that_was_set_back_makes_nothing_go() -> None:
    assert archives_over([entry(changed=NOW + DAY)], ArchiveLimits(keep=DAY), NOW) == ()
