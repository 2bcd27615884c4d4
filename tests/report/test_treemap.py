"""Boxes in proportion: they fill the area, do not overlap, and are not needlessly long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.temp.report.treemap import Box, squarify

SIZES = st.lists(st.integers(0, 10**12), max_size=60).map(lambda sizes: sorted(sizes, reverse=True))
BOX = Box(10, 20, 600, 300)


@given(SIZES)
def test_areas_are_in_proportion_and_fill_the_box(sizes: list[int]) -> None:
    boxes = squarify(sizes, BOX)
    assert len(boxes) == len(sizes)
    total = sum(sizes)
    for size, box in zip(sizes, boxes, strict=True):
        wanted = size / total * BOX.width * BOX.height if total else 0.0
        assert box.width * box.height == pytest.approx(wanted, rel=1e-6, abs=1e-6)
        assert box.x >= BOX.x - 1e-6
        assert box.y >= BOX.y - 1e-6
        assert box.x + box.width <= BOX.x + BOX.width + 1e-3
        assert box.y + box.height <= BOX.y + BOX.height + 1e-3


@given(SIZES)
def test_no_two_boxes_overlap(sizes: list[int]) -> None:
    boxes = [box for box in squarify(sizes, BOX) if min(box[2:]) > 1e-3]
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            apart = (
                one.x + one.width <= other.x + 1e-3
                or other.x + other.width <= one.x + 1e-3
                or one.y + one.height <= other.y + 1e-3
                or other.y + other.height <= one.y + 1e-3
            )
            assert apart


def test_the_example_of_the_paper() -> None:
    boxes = squarify([6, 6, 4, 3, 2, 2, 1], Box(0, 0, 6, 4))
    spelled = [tuple(round(side, 2) for side in box[2:]) for box in boxes]
    assert spelled == [
        (3, 2),
        (3, 2),
        (1.71, 2.33),
        (1.29, 2.33),
        (1.2, 1.67),
        (1.2, 1.67),
        (0.6, 1.67),
    ]


def test_equal_sizes_make_squares() -> None:
    for box in squarify([1] * 16, Box(0, 0, 400, 400)):
        assert box.width == pytest.approx(box.height)
