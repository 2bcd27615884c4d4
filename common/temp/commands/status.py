"""`temp-status`: lists the entries, and what the next clean does with each."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..choices import SORTS, STATUS_FORMATS, choose
from ..core.entry import Inventory, Problem
from ..core.reasons import Verdict
from ..core.units import read_count
from ..errors import InvalidSettings, Refused, StorageError
from .forecast import look
from .places import Place, find_places
from .printing import add_to_summary, print_problems
from .status_formats import FORMATS, RootStatus, StatusArguments

_MOST_SWEEPS: Final = 1000

_ORDERS: Final[dict[str, Callable[[Verdict], Any]]] = {
    "name": lambda verdict: (verdict.entry.category, verdict.entry.name),
    "size": lambda verdict: (-verdict.entry.size, verdict.entry.path),
    "files": lambda verdict: (-verdict.entry.files, verdict.entry.path),
    "age": lambda verdict: (verdict.entry.last, verdict.entry.path),
}


def status(given: StatusArguments) -> int:
    """Print the status, or write it to a file; return the exit code."""
    order = _ORDERS[choose(given.sort, "--sort", SORTS)]
    make_sink = FORMATS[choose(given.output, "--format", STATUS_FORMATS)]
    most = None if given.limit is None else read_count(given.limit, "--limit")
    if given.history and given.category is not None:
        raise InvalidSettings("--history takes no --category; leave it out")
    now = time.time()
    sink = make_sink(given, now)
    problems: list[tuple[str, Problem]] = []
    places = find_places(given.all_projects, problems)
    code = InvalidSettings.exit_code if problems else 0
    empty = 0
    for place in places:
        root = _look_at(place, now, given.category, order, most)
        if given.history and not root.failed:
            from .history import sweeps_of

            found, wrong, failed = sweeps_of(place, _MOST_SWEEPS)
            code = max(code, failed)
            problems += [(place.title, problem) for problem in wrong]
            root = root._replace(sweeps=found.sweeps)
        code = max(code, root.failed)
        problems += [(place.title, problem) for problem in root.inventory.problems]
        if root.is_empty and (place.is_extra or (given.all_projects and not sink.all_roots)):
            empty += not place.is_extra
            continue
        if not root.failed:
            add_to_summary(partial(_summary, root))
        sink.add(root)
    text = sink.text(empty)
    if given.file is not None:
        from ..store.project.output_file import write_named

        write_named(Path(given.file), f"{text}\n", "choose another --output")
    else:
        print(text, end="\n" if text else "")
    return max(code, print_problems(problems))


def _look_at(
    place: Place,
    now: float,
    category: str | None,
    order: Callable[[Verdict], Any],
    most: int | None,
) -> RootStatus:
    try:
        forecast = look(place, now)
    except (StorageError, Refused) as error:
        inventory = Inventory(root=str(place.root), problems=(place.problem(error),))
        return RootStatus(place, inventory, (), (), error.exit_code)
    verdicts = forecast.verdicts(category)
    return RootStatus(place, forecast.inventory, verdicts, sorted(verdicts, key=order)[:most])


def _summary(root: RootStatus) -> str:
    from ..report.github import status_summary

    return status_summary(root.place.title, root.verdicts)
