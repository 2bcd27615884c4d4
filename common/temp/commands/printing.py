"""What several commands need to print: problems, GitHub annotations and summaries, terminals."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from ..core.entry import Problem
from ..errors import Refused, reason_of
from ..report.table import Screen
from ..report.text import plain, problem_line


def is_github_action() -> bool:
    """Whether this is a step of a GitHub workflow."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def complain(line: str) -> None:
    """Print a line to stderr; in a GitHub workflow, as an annotation."""
    if is_github_action():
        from ..report.github import warning

        line = warning(line)
    print(line, file=sys.stderr)


def print_problems(problems: Sequence[tuple[str, Problem]]) -> int:
    """Print each problem with the title of its root; 1 if any of them is blocking, else 0."""
    for title, problem in problems:
        complain(problem_line(title, problem))
    return int(any(problem.blocking for _, problem in problems))


def add_to_summary(markdown: Callable[[], str]) -> None:
    """Append to the step summary, in a GitHub workflow that has one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY", "")
    if not path or not is_github_action():
        return
    from ..store.system.writing import append

    try:
        append(path, markdown())
    except (OSError, Refused) as error:
        why = reason_of(error) if isinstance(error, OSError) else error
        complain(f"problem: cannot add to {plain(path)}: {why}")


def screen() -> Screen | None:
    """The terminal that stdout is, if it is one."""
    if not sys.stdout.isatty():
        return None
    import shutil

    is_plain = any(os.environ.get(name) for name in ("NO_COLOR", "CI"))
    colour = not is_plain and os.environ.get("TERM") != "dumb"
    return Screen(shutil.get_terminal_size().columns, colour)


def terminal() -> TextIO | None:
    """The stream to ask a person on, if stdin is a terminal too."""
    if not sys.stdin.isatty():
        return None
    return next((stream for stream in (sys.stderr, sys.stdout) if stream.isatty()), None)
