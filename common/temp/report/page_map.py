"""The map of the page: a box for each project, category and label, in proportion to its size.

Boxes are placed in per cent of the box around them, so that the map fits any size. On a narrow
page, the style swaps the two axes, so that boxes keep their proportions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ..core.links import once
from ..core.reasons import Verdict
from ..core.units import spell_size
from .markup import Shown, mark_of, markup
from .text import counted
from .totals import category_totals, sizes
from .treemap import Box, squarify

_AREA: Final = Box(0.0, 0.0, 1000.0, 460.0)
"""The map in pixels on a wide page. On a narrow one, it is 370 x 640 with axes swapped."""

_HEADING: Final = 15.0
_LEAST_AREA: Final = 90.0
"""The least area of a label in pixels, of the map's 460,000. Smaller labels of a category share a
box."""

_MOST_LEAVES: Final = 240
"""The most labels that the map shows, the largest first."""

_LEAST_SIDES: Final = (24.0, 11.0)
"""The least width and height of a box with a name in it, on wide and on narrow pages."""


class _Leaf(NamedTuple):
    size: int
    mark: str
    category: str
    name: str
    find: str
    entries: int


def page_map(roots: Sequence[Shown]) -> str:
    """The map of `roots`, as HTML."""
    label = "Size by project, category and label; the table below has the same numbers"
    return f'<div class="map" role="group" aria-label="{label}">{"".join(_projects(roots))}</div>'


def _projects(roots: Sequence[Shown]) -> Iterator[str]:
    every = ((sizes(root.verdicts)[0], root) for root in roots)
    sized = sorted((item for item in every if item[0]), key=lambda item: -item[0])
    leaves = [_leaves(root) for _, root in sized]
    ranked = sorted((leaf for found in leaves for leaf in found), key=lambda leaf: -leaf.size)
    largest = set(ranked[:_MOST_LEAVES])
    boxes = squarify([size for size, _ in sized], _AREA)
    for (size, root), found, box in zip(sized, leaves, boxes, strict=True):
        inner = box.within(2, _HEADING)
        inside = "".join(_categories(root, found, inner, largest))
        yield _frame(f"{root.title}, {spell_size(size)}", box, _AREA, inside)


def _categories(
    root: Shown, leaves: Sequence[_Leaf], box: Box, largest: set[_Leaf]
) -> Iterator[str]:
    if not (box.width and box.height):
        return
    by_category: dict[str, list[_Leaf]] = {}
    for leaf in leaves:
        by_category.setdefault(leaf.category, []).append(leaf)
    sums = sorted(
        ((sum(leaf.size for leaf in its), name) for name, its in by_category.items()), reverse=True
    )
    totals = category_totals(root.verdicts)
    places = squarify([total for total, _ in sums], box)
    for (_, name), place in zip(sums, places, strict=True):
        inner = place.within(1, _HEADING)
        inside = "".join(_labels(by_category[name], inner, largest))
        yield _frame(f"{name}, {spell_size(totals[name][1])}", place, box, inside)


def _leaves(root: Shown) -> list[_Leaf]:
    """The boxes of one root by category and label, largest first."""
    by_label: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in root.verdicts:
        by_label.setdefault((verdict.entry.category, verdict.entry.label), []).append(verdict)
    leaves = [
        _Leaf(
            sum(once(verdict.entry for verdict in inside)),
            _common(list(map(mark_of, inside))),
            category,
            label,
            f"{root.title} {category}/{label}",
            len(inside),
        )
        for (category, label), inside in by_label.items()
    ]
    return sorted(leaves, key=lambda leaf: (-leaf.size, leaf.name))


def _common(marks: Sequence[str]) -> str:
    return marks[0] if len(set(marks)) == 1 else "mixed" if "goes" in marks else "stays"


def _labels(leaves: Sequence[_Leaf], box: Box, largest: set[_Leaf]) -> Iterator[str]:
    total = sum(leaf.size for leaf in leaves)
    area = box.width * box.height
    large = [
        leaf
        for leaf in leaves
        if leaf in largest and total and leaf.size / total * area >= _LEAST_AREA
    ]
    with_room = set(large)
    rest = [leaf for leaf in leaves if leaf not in with_room]
    if rest:
        count = sum(leaf.entries for leaf in rest)
        category = rest[0].category
        find = rest[0].find.removesuffix(rest[0].name)
        marks = [leaf.mark for leaf in rest]
        size = sum(leaf.size for leaf in rest)
        large = sorted(
            [*large, _Leaf(size, _common(marks), category, f"{count} more", find, count)],
            key=lambda leaf: -leaf.size,
        )
    for leaf, place in zip(large, squarify([leaf.size for leaf in large], box), strict=True):
        if place.width < 0.5 or place.height < 0.5:
            continue
        said = markup(f"{leaf.name}: {counted(leaf.entries)}, {spell_size(leaf.size)}")
        name = f"<span>{markup(leaf.name)}</span>" if _has_room(place) else ""
        yield (
            f'<a href="#entries" class="{leaf.mark}" title="{said}" '
            f'data-find="{markup(leaf.find)}" {_placed(place, box)}>{name}</a>'
        )


def _has_room(box: Box) -> bool:
    wide, high = _LEAST_SIDES
    narrow = box.height * 0.8, box.width * 0.64
    return any(one >= wide and other >= high for one, other in (box[2:], narrow))


def _frame(heading: str, box: Box, around: Box, inside: str) -> str:
    said = markup(heading)
    where = _placed(box, around)
    return f'<div title="{said}" {where}><strong>{said}</strong><section>{inside}</section></div>'


def _placed(box: Box, around: Box) -> str:
    """The position of `box`, in per cent of the box `around` it."""
    x, y = (box.x - around.x) / around.width, (box.y - around.y) / around.height
    sides = x, y, box.width / around.width, box.height / around.height
    return 'style="{}"'.format(
        ";".join(
            f"--{name}:{100 * side:.2f}".rstrip("0").rstrip(".")
            for name, side in zip("xywh", sides, strict=True)
        )
    )
