"""Rectangles in proportion to sizes: squarified treemaps, by Bruls, Huizing and van Wijk (2000)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle; `x` and `y` are its top left corner."""

    x: float
    y: float
    width: float
    height: float

    def within(self, margin: float, top: float = 0.0) -> Box:
        """The rectangle inside a margin, and below a heading of height `top`."""
        return Box(
            self.x + margin,
            self.y + margin + top,
            max(0.0, self.width - 2 * margin),
            max(0.0, self.height - 2 * margin - top),
        )


def squarify(sizes: Sequence[float], box: Box) -> list[Box]:
    """A box for each of `sizes`, in their order; together they fill `box`.

    Areas are proportional to sizes, and as square as rows of falling sizes allow. `sizes` must be
    sorted, the largest first, and not negative. If all are 0, the boxes have no area.
    """
    total = sum(sizes)
    if total <= 0 or box.width <= 0 or box.height <= 0:
        return [Box(box.x, box.y, 0.0, 0.0) for _ in sizes]
    scale = box.width * box.height / total
    return list(_rows([size * scale for size in sizes], box))


def _rows(areas: Sequence[float], box: Box) -> Iterator[Box]:
    first = 0
    while first < len(areas):
        side = min(box.width, box.height)
        end = first + 1
        row = areas[first]
        # Add boxes to a row along the shorter side as long as none of them gets longer.
        while end < len(areas) and _worst(areas, first, end + 1, row + areas[end], side) <= _worst(
            areas, first, end, row, side
        ):
            row += areas[end]
            end += 1
        thick = row / side if side else 0.0
        along = 0.0
        for area in areas[first:end]:
            long = area / thick if thick else 0.0
            if box.width >= box.height:
                yield Box(box.x, box.y + along, thick, long)
            else:
                yield Box(box.x + along, box.y, long, thick)
            along += long
        if box.width >= box.height:
            box = Box(box.x + thick, box.y, max(0.0, box.width - thick), box.height)
        else:
            box = Box(box.x, box.y + thick, box.width, max(0.0, box.height - thick))
        first = end


def _worst(areas: Sequence[float], first: int, end: int, row: float, side: float) -> float:
    """The largest ratio of sides in a row of `areas[first:end]`, which add up to `row`."""
    smallest = areas[end - 1]
    if not smallest or not side:
        return float("inf")
    return max(side * side * areas[first] / (row * row), row * row / (side * side * smallest))
