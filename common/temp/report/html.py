"""One page that shows all entries: self-contained, safe to open, of bounded size."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, Final, NamedTuple
from zlib import compressobj

from ..core.disposal import Disposal
from ..core.entry import Entry, Inventory
from ..core.links import once
from ..core.reasons import Verdict
from ..core.units import DAY, HOUR, spell_size
from .status_table import next_clean
from .text import age_seconds, counted, instant, plain
from .totals import category_totals, sizes, summary, undoable_lines
from .treemap import Box, squarify

_AREA: Final = Box(0.0, 0.0, 1000.0, 460.0)
_HEADING: Final = 15.0
_LEAST_AREA: Final = 90.0
"""Of the map's 460,000: smaller labels are joined with the rest of their category."""

_MOST_LEAVES: Final = 240
"""How many labels the map shows, the largest first."""

_AGES: Final = (
    ("under an hour", HOUR),
    ("under a day", DAY),
    ("under a week", 7 * DAY),
    ("under a month", 30 * DAY),
    ("under a year", 365 * DAY),
    ("older", float("inf")),
)
_MARKS: Final = ("goes", "stays", "used", "pinned", "mixed")


class Shown(NamedTuple):
    """One root on the page: its title, the scan, all verdicts, those that are listed, and how the
    next clean disposes of what goes. The sums and the map count all verdicts.
    """

    title: str
    inventory: Inventory
    verdicts: Sequence[Verdict]
    listed: Sequence[Verdict]
    disposal: Disposal = "delete"


def page(title: str, roots: Sequence[Shown], now: float) -> str:
    """The HTML of a page about `roots`, which needs no other file."""
    verdicts = [verdict for root in roots for verdict in root.verdicts]
    listed = sum(len(root.listed) for root in roots)
    left_out = f"; {listed} of {counted(len(verdicts))} listed" if listed < len(verdicts) else ""
    template = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        title=_text(title),
        at=instant(now),
        sum=_text(summary(verdicts) + left_out),
        treemap=_treemap(roots),
        ages=_ages(verdicts, now),
        totals=_totals(roots, now),
        problems=_problems(roots),
        data=_data(roots, now),
    )


def _text(text: str) -> str:
    return escape(plain(text))


def _mark(verdict: Verdict) -> str:
    if not verdict.keep:
        return "goes"
    if verdict.entry.pin is not None:
        return "pinned"
    return "used" if verdict.entry.use is not None else "stays"


# -- the map ------------------------------------------------------------------------------------


class _Leaf(NamedTuple):
    size: int
    mark: str
    category: str
    name: str
    find: str
    entries: int


def _treemap(roots: Sequence[Shown]) -> str:
    shapes = "".join(_projects(roots))
    size = f"{_AREA.width:g} {_AREA.height:g}"
    label = "Size by project, category and label; the table below says the same in words"
    return f'<svg viewBox="0 0 {size}" role="group" aria-label="{label}">{shapes}</svg>'


def _projects(roots: Sequence[Shown]) -> Iterator[str]:
    sized = sorted(
        ((sizes(root.verdicts)[0], root) for root in roots),
        key=lambda item: -item[0],
    )
    sized = [item for item in sized if item[0]]
    leaves = [_leaves(root) for _, root in sized]
    every = sorted((leaf for found in leaves for leaf in found), key=lambda leaf: -leaf.size)
    largest = set(every[:_MOST_LEAVES])
    boxes = squarify([size for size, _ in sized], _AREA)
    for (size, root), found, box in zip(sized, leaves, boxes, strict=True):
        inner = box.within(2, _HEADING)
        totals = category_totals(root.verdicts)
        yield _frame(box, f"{root.title}, {spell_size(size)}")
        by_category: dict[str, list[_Leaf]] = {}
        for leaf in found:
            by_category.setdefault(leaf.category, []).append(leaf)
        sums = sorted(
            ((sum(leaf.size for leaf in inside), name) for name, inside in by_category.items()),
            reverse=True,
        )
        places = squarify([total for total, _ in sums], inner)
        for (_, name), place in zip(sums, places, strict=True):
            yield _frame(place, f"{name}, {spell_size(totals[name][1])}")
            yield from _category(by_category[name], place.within(1, _HEADING), largest)


def _leaves(root: Shown) -> list[_Leaf]:
    """What one root shows, by category and label, largest first."""
    by_label: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in root.verdicts:
        by_label.setdefault((verdict.entry.category, verdict.entry.label), []).append(verdict)
    leaves = [
        _Leaf(
            sum(once(verdict.entry for verdict in inside)),
            _common(list(map(_mark, inside))),
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


def _category(leaves: Sequence[_Leaf], box: Box, largest: set[_Leaf]) -> Iterator[str]:
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
        said = _text(f"{leaf.name}: {counted(leaf.entries)}, {spell_size(leaf.size)}")
        yield (
            f'<a href="#entries" data-find="{_text(leaf.find)}" aria-label="{said}">'
            f'<rect class="{leaf.mark}" {_spelled(place)}/><title>{said}</title>'
            f"{_label(place, leaf.name)}</a>"
        )


def _frame(box: Box, heading: str) -> str:
    return f'<rect class="frame" {_spelled(box)}/>{_label(box, heading, "head")}'


def _label(box: Box, text: str, kind: str = "") -> str:
    """As much of `text` as there is room for, at about six units a letter."""
    letters = int((box.width - 6) / 6.2)
    text = plain(text)
    if letters < 3 or box.height < _HEADING - 2:
        return ""
    cut = text if len(text) <= letters else f"{text[: letters - 1]}…"
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{box.x + 4:.0f}" y="{box.y + 11.5:.0f}">{escape(cut)}</text>'


def _spelled(box: Box) -> str:
    return f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'


# -- the rest -----------------------------------------------------------------------------------


def _ages(verdicts: Sequence[Verdict], now: float) -> str:
    of_age: list[list[Entry]] = [[] for _ in _AGES]
    for verdict in verdicts:
        age = age_seconds(verdict.entry, now)
        index = next(index for index, (_, limit) in enumerate(_AGES) if age < limit)
        of_age[index].append(verdict.entry)
    held = [sum(once(entries)) for entries in of_age]
    largest = max(held) or 1
    return "".join(
        f'<span>{name}</span><i style="width:{100 * size / largest:.1f}%"></i>'
        f'<span class="num">{spell_size(size)} in {counted(len(entries))}</span>'
        for (name, _), entries, size in zip(_AGES, of_age, held, strict=True)
    )


def _totals(roots: Sequence[Shown], now: float) -> str:
    head = (
        "<tr><th>project</th><th>category</th>"
        + "".join(f'<th class="num">{name}</th>' for name in ("entries", "size", "would go"))
        + '<th class="num">free on its filesystem</th></tr>'
    )
    rows = []
    for root in roots:
        free = "" if root.inventory.free is None else spell_size(root.inventory.free)
        for category, (count, size, goes) in category_totals(root.verdicts).items():
            numbers = (str(count), spell_size(size), spell_size(goes), free)
            rows.append(
                f'<tr><td title="{_text(root.inventory.root)}">{_text(root.title)}</td>'
                f"<td>{_text(category)}</td>"
                + "".join(f'<td class="num">{number}</td>' for number in numbers)
                + "</tr>"
            )
    held = "".join(
        f"<p>{_text(root.title)}: {_text(line)}</p>"
        for root in roots
        for line in undoable_lines(root.inventory, now)
    )
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>{held}"


def _problems(roots: Sequence[Shown]) -> str:
    lines = [
        f"<li>{_text(root.title)}: {_text(problem.path)}: {_text(problem.what)}</li>"
        for root in roots
        for problem in root.inventory.problems
    ]
    return f"<h2>Problems</h2><ul>{''.join(lines)}</ul>" if lines else ""


def _data(roots: Sequence[Shown], now: float) -> str:
    """The entries for the script of the page: JSON, deflated, in base 64."""
    numbers: dict[str, int] = {}

    def number(text: str) -> int:
        return numbers.setdefault(plain(text), len(numbers))

    entries: list[list[Any]] = [
        [
            number(root.title),
            number(verdict.entry.category),
            plain(verdict.entry.name),
            verdict.entry.size,
            verdict.entry.files,
            age_seconds(verdict.entry, now),
            _MARKS.index(_mark(verdict)),
            number(next_clean(verdict, root.disposal)),
        ]
        for root in roots
        for verdict in root.listed
    ]
    total = sum(sum(once(one.entry for one in root.listed)) for root in roots)
    said = {"marks": _MARKS, "texts": list(numbers), "entries": entries, "total": total}
    deflate = compressobj(9, wbits=-15)
    packed = deflate.compress(json.dumps(said, separators=(",", ":")).encode()) + deflate.flush()
    return b64encode(packed).decode()
