"""The page of a fleet: a line for each host, which unfolds; below 1 MB for any number of hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from ..core.fleet import Fleet, FleetEntry, FleetHost, FleetProject, Sums, added
from ..core.units import spell_size
from .fleet import fleet_summary, report_of
from .html import filled
from .markup import markup
from .table import cut
from .text import counted, instant, plain

_T = TypeVar("_T")

_MOST_PROJECTS: Final = 12
"""The number of projects listed for a host; the rest share one row."""

_MOST_NAME: Final = 80
_ROOM: Final = 700_000
_ROOM_BELOW: Final = 100_000
"""How many bytes the largest entries may take, and also the files that could not be read. The hosts
may take `_ROOM`.
"""


def fleet_page(fleet: Fleet, now: float, unread: Sequence[str] = ()) -> str:
    """The page as HTML. It needs no other file and no script."""
    hosts = _hosts(fleet.hosts)
    largest = _lines_that_fit(fleet.largest, _entry, _ROOM_BELOW, lambda _: "")
    problems = _lines_that_fit(
        unread,
        lambda line: f"<li>{_name(line, 300)}</li>",
        _ROOM_BELOW,
        lambda rest: f"<li>and {len(rest)} more</li>",
    )
    return filled(
        "fleet.html",
        at=instant(now),
        sum=markup(fleet_summary(fleet)),
        hosts=hosts or '<tbody><tr><td colspan="6">no hosts</td></tr></tbody>',
        unread=f"<h2>Not merged</h2><ul>{problems}</ul>" if unread else "",
        largest=largest or '<tr><td colspan="5">no entries</td></tr>',
    )


def _lines_that_fit(
    items: Sequence[_T], make: Callable[[_T], str], room: int, rest: Callable[[Sequence[_T]], str]
) -> str:
    """The lines of as many items as fit into `room` bytes, from the first. `make` returns the line
    of an item. If some do not fit, `rest` returns a last line for them.
    """
    made: list[str] = []
    for index, item in enumerate(items):
        text = make(item)
        room -= len(text.encode()) + 1
        if room < 0:
            return "\n".join([*made, rest(items[index:])])
        made.append(text)
    return "\n".join(made)


def _hosts(hosts: Sequence[FleetHost]) -> str:
    """A line for each host; the first ones unfold, as many as fit."""
    lines = _lines_that_fit(hosts, _line, _ROOM, _more_hosts)
    room = _ROOM - len(lines.encode())
    made = lines.split("\n")
    for index, host in enumerate(hosts[: len(made)]):
        details = _details(host)
        room -= len(details.encode())
        if room < 0:
            break
        made[index] += details
    return "\n".join(f"<tbody>{one}</tbody>" for one in made if one)


def _line(host: FleetHost) -> str:
    mark = {"missing": "goes", "stale": "mixed", "ok": "goes" if host.sums.failures else "used"}
    state = f'<i class="mark {mark[host.state]}"></i> {report_of(host)}'
    head = f'<th scope="row">{_name(host.name)}</th><td>{state}</td>'
    return f"<tr>{head}{'<td colspan=4></td>' if host.age is None else _numbers(host.sums)}</tr>"


def _details(host: FleetHost) -> str:
    if not host.projects:
        return ""
    named = counted(len(host.projects), "project", "projects")
    return (
        f'<tr><td colspan="6"><details><summary>{named}</summary>'
        f"<table>{''.join(_project_rows(host.projects))}</table></details></td></tr>"
    )


def _project_rows(projects: Sequence[FleetProject]) -> Iterable[str]:
    for one in projects[:_MOST_PROJECTS]:
        free = "" if one.free is None else f"{spell_size(one.free)} free"
        yield f"<tr><td>{_name(one.title)}</td><td>{free}</td>{_numbers(one.sums)}</tr>"
    rest = projects[_MOST_PROJECTS:]
    if rest:
        sums = added(one.sums for one in rest)
        yield f"<tr><td>{len(rest)} more</td><td></td>{_numbers(sums)}</tr>"


def _more_hosts(hosts: Sequence[FleetHost]) -> str:
    sums = added(host.sums for host in hosts)
    said = f'<th scope="row">{counted(len(hosts), "more host", "more hosts")}</th><td></td>'
    return f"<tr>{said}{_numbers(sums)}</tr>"


def _entry(entry: FleetEntry) -> str:
    names = "".join(f"<td>{_name(text)}</td>" for text in (entry.host, entry.project))
    fate = '<i class="mark goes"></i> goes' if entry.goes else '<i class="mark stays"></i> stays'
    path, size = _name(entry.path, 200), spell_size(entry.size)
    return f'<tr>{names}<td class="name">{path}</td><td class="num">{size}</td><td>{fate}</td></tr>'


def _numbers(sums: Sums) -> str:
    said = str(sums.entries), spell_size(sums.size), spell_size(sums.reclaimable)
    return "".join(f'<td class="num">{one}</td>' for one in (*said, str(sums.failures)))


def _name(text: str, most: int = _MOST_NAME) -> str:
    return markup(cut(plain(text), most))
