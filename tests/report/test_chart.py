"""The chart of size over time: what is known of the past, on screen and for screen readers."""

from __future__ import annotations

import re
from typing import Any

from common.temp.core.history import PastSweep, Who
from common.temp.report.chart import size_over_time
from common.temp.report.text import instant
from tests.support import DAY, NOW

MIB = 1 << 20


def sweep(days_ago: float, left: int | None, freed: int = 0, **more: Any) -> PastSweep:
    who = Who("me", "here", 17, "temp-clean", "inv temp-clean")
    said = PastSweep(
        instant(NOW - days_ago * DAY), 0.0, who, "max age 7 d", False, False, 1, 0, 0, 0, 0, freed,
        (("expired", 1),), (), 0, left,
    )  # fmt: skip
    return said._replace(**more)


def points(chart: str) -> list[tuple[float, float]]:
    (line,) = re.findall(r'<path class="line" d="M([^"]*)"', chart)
    pairs = (pair.split(",") for pair in line.split("L"))
    return [(float(x), float(y)) for x, y in pairs]


def test_each_sweep_is_a_point_before_and_one_after_and_the_last_is_now() -> None:
    past = [sweep(5, MIB, 3 * MIB), sweep(10, 2 * MIB, 2 * MIB)]
    chart = size_over_time("demo", past, 3 * MIB, NOW)
    assert points(chart) == [(0, 0), (0, 50), (500, 0), (500, 75), (1000, 25)]
    title = "Size of demo over time: 3.0 MiB now, between 1.0 MiB and 4.0 MiB since 2023-11-04T"
    assert f'role="img"><title>{title}' in chart
    assert "<li>4.0 MiB</li><li>2.0 MiB</li><li>0 B</li>" in chart
    assert chart.count('class="dot"') == 5


def test_what_is_not_known_is_no_point_and_what_was_set_aside_is_none_of_the_entries() -> None:
    past = [sweep(1, MIB, MIB), sweep(2, None, MIB), sweep(4, MIB, 9 * MIB, dropped=3)]
    assert len(points(size_over_time("demo", past, MIB, NOW))) == 4
    nothing = size_over_time("demo", [sweep(1, None, MIB)], MIB, NOW)
    assert "No past sizes are known yet." in nothing
    assert "<svg" not in nothing
    assert "1 expired" in nothing


def test_odd_times_and_names_make_no_odd_chart() -> None:
    odd = [sweep(0, MIB, at="2026-99-99T00:00:00Z"), sweep(-3, 0), sweep(1, MIB)]
    chart = size_over_time("<b>", odd, 0, NOW)
    assert "<b>" not in chart
    assert all(0 <= x <= 1000 and 0 <= y <= 100 for x, y in points(chart))


def test_a_long_history_is_a_small_chart() -> None:
    chart = size_over_time("demo", [sweep(day, MIB, MIB) for day in range(1000)], MIB, NOW)
    assert len(chart) < 20_000
    assert "20 sweeps, the newest first" in chart
