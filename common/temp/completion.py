"""Shell completion of entry names after tasks that take one, and of values after some flags.

Invoke completes tasks and flags. `entry_tasks` replaces the function of its program that prints
them by the one here, which prints names after a shared task, and nothing if anything fails.
"""

from __future__ import annotations

import contextlib
import io
import shlex
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from invoke.collection import Collection
from invoke.completion.complete import complete as _complete_as_invoke
from invoke.exceptions import Exit

from . import choices
from .core.policy import STRATEGIES
from .shared_task import SharedTask

_TASKS: Final = ("temp_explain", "temp_pin", "temp_restore", "temp_unpin")
_VALUED: Final = ("-r", "--reason")
"""The flags of these tasks that take a value."""

_STRATEGIES: Final = tuple(STRATEGIES)
_CHOICES: Final[dict[str, dict[str, Sequence[str]]]] = {
    "--preset": {"clean": (*choices.PRESETS, choices.ALL)},
    "--strategy": {"temp_clean": _STRATEGIES, "temp_schedule": _STRATEGIES},
    "--sort": {"temp_status": choices.SORTS},
    "--as": {"temp_schedule": choices.SCHEDULERS},
    "--format": {
        "temp_status": choices.STATUS_FORMATS,
        "temp_report": choices.REPORT_FORMATS,
        "temp_migrate": choices.MIGRATE_FORMATS,
        **dict.fromkeys(("clean", "temp_clean", "temp_check"), choices.TABLE_OR_JSON),
    },
}
"""The values of each flag, by task."""


def complete(
    names: list[str], core: Any, initial_context: Any, collection: Collection, parser: Any
) -> Exit:
    """As invoke does, but names of entries where a shared task takes one. Raises `Exit`."""
    with contextlib.suppress(Exception):
        words = shlex.split(core.remainder)
        typed = _typed(words, collection)
        values = _values(words, collection)
        if values is not None:
            sys.stdout.writelines(f"{name}\n" for name in values)
        elif typed is None:
            _complete_as_invoke(names, core, initial_context, collection, parser)
        else:
            from .commands.completing import candidates

            # A message would appear in the line that is being typed.
            with contextlib.redirect_stderr(io.StringIO()):
                found = candidates(*typed)
            if found == [typed[1]]:
                found = []  # a whole name: the shell may be past it
            sys.stdout.writelines(f"{name}\n" for name in found)
    raise Exit


def _values(words: Sequence[str], collection: Collection) -> list[str] | None:
    """The possible values of the flag typed last; `None` if they are not known."""
    for flag, typed in pairwise([*words[-2:], ""]):
        for task, every in _CHOICES.get(flag, {}).items():
            if any(_shared(word, collection, (task,)) for word in words):
                given, comma, begun = typed.rpartition(",")  # several presets may be given
                found = [f"{given}{comma}{name}" for name in every if name.startswith(begun)]
                return [] if found == [typed] else found  # a whole name: the shell may be past it
    return None


def _typed(words: Sequence[str], collection: Collection) -> tuple[str, str] | None:
    """The shared task that takes a name, and the beginning of the name; `None` without a task.

    A shell leaves out an empty last word, so the name may be complete or not begun.
    """
    tasks = {index: _shared(word, collection) for index, word in enumerate(words)}
    first = max((index for index, name in tasks.items() if name), default=None)
    if first is None or words[-1].startswith("-"):
        return None
    *before, last = words[first:]
    if not before:
        return tasks[first], ""
    free = (one for flag, one in pairwise(before) if flag not in _VALUED and one[:1] != "-")
    return None if any(free) or before[-1] in _VALUED else (tasks[first], last)


def _shared(word: str, collection: Collection, among: Sequence[str] = _TASKS) -> str:
    """The name of the shared task that `word` calls, if it is in `among`; else ""."""
    try:
        task = collection[word]
    except (KeyError, ValueError):
        return ""
    return task.name if isinstance(task, SharedTask) and task.name in among else ""
