"""How many workers a removal uses: found by trying, with functions in place of disks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.temp.store.workers.pace import Pace

TICK = 0.01

Disk = Callable[[int, float], float]
"""What so many workers do in a second, at a time."""


def levels(
    pace: Pace, disk: Disk, seconds: float, *, since: float = 0.0, done: float = 0.0
) -> list[int]:
    """The levels that `pace` goes through with `disk`, tick by tick."""
    seen = []
    for tick in range(round(seconds / TICK)):
        now = since + tick * TICK
        seen.append(pace.hear(now, int(done)))
        done += disk(pace.level, now) * TICK
    return seen


def steps(seen: list[int]) -> list[int]:
    """`seen` without what it repeats."""
    return [level for level, _ in groupby(seen)]


def gaining(level: int, now: float) -> float:
    return 2000.0 * level


def one_arm(level: int, now: float) -> float:
    return 4000.0 / level


def two_processors(level: int, now: float) -> float:
    return 20_000.0 * min(level, 2)


def test_it_starts_with_one_for_each_processor() -> None:
    assert [Pace(count, 8).level for count in (1, 2, 3, 4, 64)] == [1, 2, 2, 4, 8]


def test_a_disk_that_gains_by_every_worker_has_the_most() -> None:
    assert steps(levels(Pace(1, 8), gaining, 4)) == [1, 2, 4, 8]


def test_a_disk_that_gains_by_every_worker_has_the_most_nearly_all_the_time() -> None:
    seen = levels(Pace(8, 8), gaining, 60)
    assert seen.count(8) / len(seen) > 0.9


def test_a_disk_with_one_arm_ends_with_one_worker() -> None:
    assert steps(levels(Pace(2, 8), one_arm, 4)) == [2, 4, 1]


@pytest.mark.parametrize(("processors", "most"), [(2, 2), (4, 4), (8, 8), (64, 8)])
def test_a_disk_with_one_arm_ends_with_one_worker_where_it_starts_with_the_most(
    processors: int, most: int
) -> None:
    assert levels(Pace(processors, most), one_arm, 4)[-1] == 1


def test_a_disk_with_one_arm_has_one_worker_nearly_all_the_time() -> None:
    seen = levels(Pace(2, 8), one_arm, 60)
    assert seen.count(1) / len(seen) > 0.9


def test_without_a_gain_above_two_processors_it_comes_back_to_two() -> None:
    assert steps(levels(Pace(2, 8), two_processors, 4)) == [2, 4, 2]


def test_a_gain_of_less_than_a_tenth_is_not_worth_a_process() -> None:
    assert steps(levels(Pace(1, 8), lambda level, now: 5000.0 * level**0.1, 4)) == [1, 2, 1]


def test_what_was_not_worth_it_is_not_tried_again_at_once() -> None:
    seen = levels(Pace(2, 8), two_processors, 60)
    assert steps(seen).count(4) <= 60 / 5 + 1


def test_a_disk_that_is_free_again_later_is_tried_again() -> None:
    seen = levels(Pace(1, 8), lambda level, now: (one_arm if now < 4 else gaining)(level, now), 40)
    assert seen[round(4 / TICK) - 1] == 1
    assert seen[-1] == 8


def test_a_disk_that_gets_busy_later_loses_its_workers() -> None:
    seen = levels(Pace(1, 8), lambda level, now: (gaining if now < 4 else one_arm)(level, now), 40)
    assert seen[round(4 / TICK) - 1] == 8
    assert seen.count(1) > len(seen) // 2


def test_a_short_time_in_which_little_was_done_says_nothing() -> None:
    assert set(levels(Pace(2, 8), lambda level, now: 60.0, 1.4)) == {2}


def test_a_disk_on_which_little_is_ever_done_is_judged_all_the_same() -> None:
    assert steps(levels(Pace(2, 8), lambda level, now: 20.0 * level, 5)) == [2, 4, 8]


def test_a_disk_on_which_nothing_is_done_at_all_breaks_nothing() -> None:
    assert set(levels(Pace(2, 8), lambda level, now: 0.0, 60)) <= {1, 2, 4, 8}


def test_with_at_most_one_it_stays_one() -> None:
    assert set(levels(Pace(4, 1), gaining, 20)) == {1}


@pytest.mark.parametrize(("most", "highest"), [(2, 2), (3, 2), (5, 4), (7, 4), (8, 8), (20, 16)])
def test_the_most_is_never_exceeded(most: int, highest: int) -> None:
    assert max(levels(Pace(2, most), gaining, 20)) == highest


@given(
    processors=st.integers(0, 64),
    most=st.integers(1, 8),
    heard=st.lists(st.tuples(st.floats(0, 10), st.integers(0, 100_000)), max_size=80),
)
def test_whatever_it_hears_the_level_is_one_two_four_or_eight_and_not_above_the_most(
    processors: int, most: int, heard: list[tuple[float, int]]
) -> None:
    pace = Pace(processors, most)
    now, done = 0.0, 0
    for passed, more in heard:
        now, done = now + passed, done + more
        assert pace.hear(now, done) == pace.level
        assert pace.level in {1, 2, 4, 8}
        assert pace.level <= most
