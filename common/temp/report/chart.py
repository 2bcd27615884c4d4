"""The size of a root over time, from its past sweeps: a chart and a table, in HTML.

The line is an inline SVG that stretches to the width of the page; the text around it is HTML, which
does not stretch. The chart needs no script, and takes its colours from the style of the page.
"""

from __future__ import annotations

import time
from calendar import timegm
from collections.abc import Sequence
from itertools import count
from typing import Final

from ..core.history import PastSweep
from ..core.units import spell_size
from .history import why_gone
from .markup import markup
from .text import counted, instant

_WIDTH: Final = 1000.0
_HEIGHT: Final = 100.0
_MOST_POINTS: Final = 300
_MOST_DOTS: Final = 60
_MOST_ROWS: Final = 20


def size_over_time(title: str, sweeps: Sequence[PastSweep], size: int, now: float) -> str:
    """A chart and a table of the newest `sweeps` of one root, which holds `size` bytes `now`."""
    points = [*_points(sweeps), (now, size)]
    return f"<h3>{markup(title)}</h3>{_chart(title, points)}{_table(sweeps)}"


def _points(sweeps: Sequence[PastSweep]) -> list[tuple[float, int]]:
    """Pairs of time and size in bytes, oldest first: before and after each sweep with a size."""
    points: list[tuple[float, int]] = []
    for sweep in sweeps:
        at = _seconds(sweep.at)
        if sweep.left_bytes is None or at is None or len(points) >= _MOST_POINTS:
            continue
        points.append((at + sweep.seconds, sweep.left_bytes))
        # Otherwise, `freed_bytes` includes bytes that were not in entries.
        if not (sweep.dropped or sweep.finished):
            points.append((at, sweep.left_bytes + sweep.freed_bytes))
    return points[::-1]


def _seconds(at: str) -> float | None:
    try:
        return float(timegm(time.strptime(at, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return None


def _chart(title: str, points: Sequence[tuple[float, int]]) -> str:
    if len(points) < 2:
        return (
            '<p class="quiet">No past sizes are known yet. A clean of all entries records how much '
            "is left, if it removed something and measured the rest. It measures the rest for "
            "max_count, max_total_size and the strategies.</p>"
        )
    first, last = min(at for at, _ in points), max(at for at, _ in points)
    least, most = min(size for _, size in points), max(size for _, size in points)
    top = _round(most)
    span = max(last - first, 1.0)
    places = [(_WIDTH * (at - first) / span, _HEIGHT - _HEIGHT * size / top) for at, size in points]
    line = "L".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(
        f'<path class="dot" d="M{x:.1f},{y:.1f}h0"><title>{spell_size(size)} at {instant(at)}'
        "</title></path>"
        for (x, y), (at, size) in [*zip(places, points, strict=True)][-_MOST_DOTS:]
    )
    said = markup(
        f"Size of {title} over time: {spell_size(points[-1][1])} now, between {spell_size(least)} "
        f"and {spell_size(most)} since {instant(first)}"
    )
    days = [instant(first + share * span)[:10] for share in (0.0, 0.5, 1.0)]
    return (
        '<div class="chart">'
        f"<ol><li>{spell_size(top)}</li><li>{spell_size(top // 2)}</li><li>0 B</li></ol>"
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" preserveAspectRatio="none" role="img">'
        f"<title>{said}</title>"
        f'<path class="grid" d="M0,0H{_WIDTH:g}M0,{_HEIGHT / 2:g}H{_WIDTH:g}"/>'
        f'<path class="under" d="M{places[0][0]:.1f},{_HEIGHT:g}L{line}V{_HEIGHT:g}Z"/>'
        f'<path class="line" d="M{line}"/>{dots}</svg>'
        f"<ul>{''.join(f'<li>{day}</li>' for day in dict.fromkeys(days))}</ul></div>"
    )


def _round(size: int) -> int:
    """The end of the axis: the next power of two, or 1.5 times one, in a round unit."""
    for power in count(10):
        for top in (1 << power, 3 << power - 1):
            if size <= top:
                return top
    raise AssertionError  # the sequence is infinite


def _table(sweeps: Sequence[PastSweep]) -> str:
    head = '<th>when</th><th>policy</th><th class="num">gone</th><th class="num">freed</th>'
    rows = "".join(
        f"<tr><td>{markup(sweep.at)}</td><td>{markup(sweep.policy)}</td>"
        f'<td class="num">{sweep.gone}</td><td class="num">{spell_size(sweep.freed_bytes)}</td>'
        f'<td class="num">{"" if sweep.left_bytes is None else spell_size(sweep.left_bytes)}</td>'
        f"<td>{markup(why_gone(sweep))}</td></tr>"
        for sweep in sweeps[:_MOST_ROWS]
    )
    shown = min(len(sweeps), _MOST_ROWS)
    return (
        f"<details><summary>{counted(shown, 'sweep', 'sweeps')}, the newest first</summary>"
        f'<div class="wide"><table><thead><tr>{head}<th class="num">left</th><th>why</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div></details>"
    )
