"""One page that shows all entries: self-contained, safe to open, of bounded size."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from importlib.resources import files
from string import Template
from typing import Any, Final
from zlib import compressobj

from ..core.entry import Entry
from ..core.links import once
from ..core.reasons import Verdict
from ..core.units import DAY, HOUR, spell_size
from .chart import size_over_time
from .markup import MARKS, Shown, mark_of, markup
from .page_map import page_map
from .status_table import next_clean
from .text import age_seconds, counted, instant, plain
from .totals import category_totals, sizes, summary, undoable_lines

_AGES: Final = (
    ("under an hour", HOUR),
    ("under a day", DAY),
    ("under a week", 7 * DAY),
    ("under a month", 30 * DAY),
    ("under a year", 365 * DAY),
    ("older", float("inf")),
)


def page(title: str, roots: Sequence[Shown], now: float, empty: int = 0) -> str:
    """A page about `roots` as HTML, which needs no other file. `empty` counts other roots, which
    have no entries.
    """
    verdicts = [verdict for root in roots for verdict in root.verdicts]
    listed = sum(len(root.listed) for root in roots)
    left_out = f"; {listed} of {counted(len(verdicts))} listed" if listed < len(verdicts) else ""
    if empty:
        left_out += f"; {counted(empty, 'project', 'projects')} without entries"
    return filled(
        "page.html",
        title=markup(title),
        at=instant(now),
        sum=markup(summary(verdicts) + left_out),
        treemap=page_map(roots),
        history=_history(roots, now),
        ages=_ages(verdicts, now),
        totals=_totals(roots, now),
        problems=_problems(roots),
        data=_data(roots, now),
    )


def filled(template: str, **parts: str) -> str:
    """The template file of this name, with the parts and the shared style filled in."""
    beside = files(__package__)
    text = beside.joinpath(template).read_text(encoding="utf-8")
    style = beside.joinpath("page.css").read_text(encoding="utf-8")
    return Template(text).substitute(parts, style=style)


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
    """A table: a row for each root, the largest first, its categories below it, and the sum."""
    head = "".join(f'<th class="num">{name}</th>' for name in ("entries", "size", "would go"))
    sized = sorted(roots, key=lambda root: -sizes(root.verdicts)[0])
    groups = "".join(f"<tbody>{''.join(_group(root))}</tbody>" for root in sized)
    whole = ""
    if len(roots) > 1:
        every = [verdict for root in roots for verdict in root.verdicts]
        whole = _sums('<th scope="row">all</th>', len(every), *sizes(every))
    held = "".join(
        f"<p>{markup(root.title)}: {markup(line)}</p>"
        for root in roots
        for line in undoable_lines(root.inventory, now)
    )
    return (
        f'<table class="sums"><thead><tr><th>project and category</th>{head}</tr></thead>'
        f"{groups}<tfoot>{whole}</tfoot></table>{held}"
    )


def _group(root: Shown) -> Iterator[str]:
    free = root.inventory.free
    disk = "" if free is None else f" <small>{spell_size(free)} free on its disk</small>"
    name = markup(root.title) + disk
    yield _sums(
        f'<th scope="row" title="{markup(root.inventory.root)}">{name}</th>',
        len(root.verdicts),
        *sizes(root.verdicts),
    )
    for category, numbers in category_totals(root.verdicts).items():
        yield _sums(f"<td>{markup(category)}</td>", *numbers)


def _sums(name: str, entries: int, size: int, goes: int) -> str:
    numbers = str(entries), spell_size(size), spell_size(goes)
    return "".join(["<tr>", name, *(f'<td class="num">{one}</td>' for one in numbers), "</tr>"])


def _history(roots: Sequence[Shown], now: float) -> str:
    """The size over time of each root with past sweeps, if sweeps are shown."""
    if all(root.sweeps is None for root in roots):
        return ""
    charts = "".join(
        size_over_time(root.title, root.sweeps, sizes(root.verdicts)[0], now)
        for root in roots
        if root.sweeps
    )
    return f"<h2>Size over time</h2>{charts or '<p>no sweeps</p>'}"


def _problems(roots: Sequence[Shown]) -> str:
    lines = [
        f"<li>{markup(root.title)}: {markup(problem.path)}: {markup(problem.what)}</li>"
        for root in roots
        for problem in root.inventory.problems
    ]
    return f"<h2>Problems</h2><ul>{''.join(lines)}</ul>" if lines else ""


def _data(roots: Sequence[Shown], now: float) -> str:
    """The entries for the script of the page, as deflated JSON in base 64."""
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
            MARKS.index(mark_of(verdict)),
            number(next_clean(verdict, root.disposal)),
        ]
        for root in roots
        for verdict in root.listed
    ]
    total = sum(sum(once(one.entry for one in root.listed)) for root in roots)
    said = {"marks": MARKS, "texts": list(numbers), "entries": entries, "total": total}
    deflate = compressobj(9, wbits=-15)
    packed = deflate.compress(json.dumps(said, separators=(",", ":")).encode()) + deflate.flush()
    return b64encode(packed).decode()
