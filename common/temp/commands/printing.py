"""Output shared by several commands: problems, GitHub annotations and summaries, terminals."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final, TextIO

from ..core.entry import Problem
from ..errors import Refused, reason_of
from ..report.table import Screen, folded
from ..report.text import plain, problem_line

_USUAL_COLUMNS: Final = 80
"""The width assumed for a terminal that does not report it."""


def is_github_action() -> bool:
    """Return whether this is a step of a GitHub workflow."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def say(text: str) -> None:
    """Print lines to stdout; on a terminal they are wrapped at words."""
    print(fitted(text, sys.stdout))


def fitted(text: str, stream: TextIO) -> str:
    """Return `text` for `stream`: on a terminal, with its lines wrapped at words."""
    shown = screen(stream)
    return text if shown is None else folded(text, shown.width)


def printer() -> Callable[[str], None]:
    """Return a `say` for many lines, which checks only once whether stdout is a terminal."""
    return say if sys.stdout is not None and sys.stdout.isatty() else print


def complain(line: str) -> None:
    """Print a line to stderr, as `say` does; in a GitHub workflow, as an annotation."""
    if is_github_action():
        from ..report.github import warning

        line = warning(line)
    print(fitted(line, sys.stderr), file=sys.stderr)


def print_problems(problems: Sequence[tuple[str, Problem]]) -> int:
    """Print each problem with the title of its root; return 1 if any is blocking, else 0."""
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


def screen(stream: TextIO | None = None) -> Screen | None:
    """Return the properties of `stream` (default: stdout) if it is a terminal, else `None`."""
    stream = stream or sys.stdout
    if not stream.isatty():
        return None
    is_plain = any(os.environ.get(name) for name in ("NO_COLOR", "CI"))
    colour = not is_plain and os.environ.get("TERM") != "dumb"
    return Screen(_columns(stream), colour)


def _columns(stream: TextIO) -> int:
    given = os.environ.get("COLUMNS", "")
    try:
        found = int(given) if given.isdecimal() else os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        found = 0
    return found or _USUAL_COLUMNS


def terminal() -> TextIO | None:
    """Return the terminal stream for questions, if stdin is a terminal too."""
    if not sys.stdin.isatty():
        return None
    return next((stream for stream in (sys.stderr, sys.stdout) if stream.isatty()), None)
