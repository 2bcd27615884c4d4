"""Sizes and durations: read strictly, written as a person would."""

from __future__ import annotations

from datetime import date
from math import nextafter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from common.temp.core.units import (
    DAY,
    HOUR,
    MINUTE,
    read_count,
    read_duration,
    read_number,
    read_size,
    spell_comparison,
    spell_duration,
    spell_share,
    spell_shares,
    spell_size,
)
from common.temp.errors import InvalidSettings
from tests.each import each


@each(
    ("size", "text"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (int(3.4 * 1024**3), "3.4 GiB"),
        (1024**4, "1.0 TiB"),
        (5000 * 1024**4, "5000.0 TiB"),
        (-2048, "-2.0 KiB"),
    ],
)
def test_a_size_is_spelled_in_the_largest_fitting_unit(size: int, text: str) -> None:
    assert spell_size(size) == text


@each(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (45, "45 s"),
        (12 * MINUTE, "12 min"),
        (31 * HOUR, "31 h"),
        (9 * DAY, "9 d"),
        (100 * DAY, "100 d"),
    ],
)
def test_a_duration_is_spelled_in_the_unit_a_person_would_use(seconds: float, text: str) -> None:
    assert spell_duration(seconds) == text


@each(
    ("value", "limit", "spelled"),
    [
        (31 * HOUR, 24 * HOUR, ("31 h", "24 h")),
        (24.04 * HOUR, 24 * HOUR, ("24.04 h", "24 h")),
        (24 * HOUR, 24 * HOUR, ("24 h", "24 h")),
        (7 * DAY + 1, 7 * DAY, ("7.00001 d", "7 d")),
        (10 * DAY, 72.1 * HOUR, ("10 d", "3.004 d")),
        (90 * DAY, HOUR, ("90 d", "60 min")),
        (9 * DAY, DAY, ("216 h", "24 h")),
        (3 * HOUR, 0, ("3 h", "0 h")),
        (0.3, 0, ("0.3 s", "0 s")),
        (0, 0, ("0 s", "0 s")),
        (HOUR, float("inf"), ("0 d", "inf d")),
        (nextafter(30 * DAY, 99 * DAY), 30 * DAY, ("30 d", "30 d")),
    ],
)
def test_two_durations_are_spelled_in_one_unit_unless_they_are_far_apart(
    value: float, limit: float, spelled: tuple[str, str]
) -> None:
    assert spell_comparison(value, limit) == spelled


@given(st.integers(0, 10**10), st.integers(1, 10**10))
def test_durations_a_millisecond_apart_are_told_apart_in_the_right_order(
    milliseconds: int, limit: int
) -> None:
    assume(milliseconds < 10 * limit)
    left, right = spell_comparison(milliseconds / 1000, limit / 1000)
    one, other = float(left.split()[0]), float(right.split()[0])
    assert (one > other) - (one < other) == (milliseconds > limit) - (milliseconds < limit)


@each(("given", "number"), [("24", 24), ("0", 0), (1.5, 1.5), ("1e2", 100)])
def test_a_number_of_zero_or_more_is_read(given: object, number: float) -> None:
    assert read_number(given, "--hours") == number


@each(
    "given",
    [
        *("abc", "", "nan", "inf", "-inf", "-1", "1e400"),
        *(float("nan"), float("inf"), -0.1, 10**400, True, None, [1], date(2026, 1, 1)),
    ],
)
def test_what_is_no_number_of_zero_or_more_is_refused_by_name(given: object) -> None:
    with pytest.raises(InvalidSettings) as refused:
        read_number(given, "--hours", "number of hours")
    assert str(refused.value) == (
        f"--hours: expected a number of hours of 0 or more, got {given!r}"
    )


def test_a_number_that_its_unit_makes_infinite_is_refused() -> None:
    with pytest.raises(InvalidSettings, match=r"^days: expected a number of 0 or more, got 1e\+30"):
        read_number(1e306, "days", scale=DAY)


def test_a_whole_number_is_read_also_from_a_float() -> None:
    assert (read_count("5", "n"), read_count(5.0, "n"), read_count(0, "n")) == (5, 5, 0)


@each("given", ["1.5", 0.5, -1, "x", True])
def test_what_is_no_whole_number_is_refused(given: object) -> None:
    with pytest.raises(InvalidSettings) as refused:
        read_count(given, "--limit")
    assert str(refused.value) == f"--limit: expected a whole number of 0 or more, got {given!r}"


@each(
    ("given", "size"),
    [
        (0, 0),
        (1024, 1024),
        (2048.0, 2048),
        ("512", 512),
        ("512 B", 512),
        ("20GiB", 20 * 1024**3),
        ("500 MB", 500 * 10**6),
        (" 1.5tib ", int(1.5 * 1024**4)),
        ("1PB", 10**15),
    ],
)
def test_a_size_is_read_with_or_without_a_unit(given: object, size: int) -> None:
    assert read_size(given, "max") == size


@each(
    "given",
    [
        *("", "20 G", "GiB", "-1", "1e3", "1,5 GB", "20 parsecs", "9" * 400 + "TiB"),
        *(1.5, -1, 10**400, True, None, []),
    ],
)
def test_what_is_no_size_is_refused(given: object) -> None:
    with pytest.raises(InvalidSettings) as refused:
        read_size(given, "max")
    assert str(refused.value) == (f'max: expected a size such as "20GiB" or "500MB", got {given!r}')


@each(
    ("share", "text"),
    [(0.0, "0 %"), (0.85, "85 %"), (0.995, "99.5 %"), (1.0, "100 %"), (0.29, "29 %")],
)
def test_a_share_is_spelled_as_a_percentage(share: float, text: str) -> None:
    assert spell_share(share) == text


@each(
    ("share", "limit", "texts"),
    [
        (0.9113, 0.85, ("91 %", "85 %")),
        (0.8504, 0.85, ("85.04 %", "85.00 %")),
        (0.9113, 0.855, ("91.1 %", "85.5 %")),
        (0.85, 0.85, ("85 %", "85 %")),
    ],
)
def test_two_shares_are_spelled_so_that_they_can_be_told_apart(
    share: float, limit: float, texts: tuple[str, str]
) -> None:
    assert spell_shares(share, limit) == (texts[0], texts[1].replace(".00", ""))


@each("value", ["7", 7, "0"])
def test_a_time_without_a_unit_is_refused_with_two_that_it_could_have(value: object) -> None:
    with pytest.raises(InvalidSettings) as refused:
        read_duration(value, "max_age")
    assert str(refused.value).endswith(
        f"got {value!r}; it needs a unit, as in {value}h or {value}d"
    )
