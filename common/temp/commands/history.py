"""`temp-status --history`: past sweeps."""

from __future__ import annotations

import time
from typing import Any, Final

from ..choices import HISTORY_FORMATS, choose
from ..core.entry import Problem
from ..core.units import read_count
from ..errors import InvalidSettings, Refused, StorageError
from ..report.history import history_project, history_text
from ..report.text import counted
from ..store.root.history import History, read_history
from .places import Place, find_places
from .printing import print_problems, screen
from .status_formats import StatusArguments

_SHOWN: Final = 20


def sweeps_of(place: Place, most: int) -> tuple[History, list[Problem], int]:
    """Return the newest sweeps of a root, problems in reading them, and the exit code for those."""
    try:
        found = read_history(place.root, most)
    except (StorageError, Refused) as error:
        return History(), [place.problem(error)], error.exit_code
    if not found.unreadable:
        return found, [], 0
    lines = counted(found.unreadable, "line", "lines")
    what = f"{lines} of the history cannot be read: cut short, or of a later version"
    return found, [Problem(place.root.name, what, blocking=False)], 0


def history(given: StatusArguments) -> int:
    """Print the recorded sweeps, the newest first; return the exit code."""
    if given.category is not None or given.sort != "name" or given.file is not None:
        raise InvalidSettings("--history takes no --category, --sort or --output; leave it out")
    choose(given.output, "--history: --format", HISTORY_FORMATS)
    most = _SHOWN if given.limit is None else read_count(given.limit, "--limit")
    documents: list[dict[str, Any]] = []
    blocks: list[str] = []
    problems: list[tuple[str, Problem]] = []
    empty = code = 0
    for place in find_places(given.all_projects):
        found, wrong, failed = sweeps_of(place, most)
        code = max(code, failed)
        problems += [(place.title, problem) for problem in wrong]
        is_one_of_many = given.all_projects and given.output == "table"
        if not found.recorded and (place.is_extra or is_one_of_many):
            empty += not place.is_extra
            continue
        documents.append(
            history_project(place.title, str(place.root), found.sweeps, found.recorded, wrong)
        )
        title = f"{place.title} ({place.root})"
        blocks.append(history_text(title, found.sweeps, found.recorded, screen()))
    if given.output == "json":
        from ..report.json import document

        print(document("history", time.time(), documents))
    else:
        if empty:
            blocks.append(f"{counted(empty, 'project', 'projects')} without sweeps")
        print("\n\n".join(blocks))
    return max(code, print_problems(problems))
