"""The commands that are run when a scheduled clean ends: `on_failure` and `on_success`.

They come from the environment, or from a `pyproject.toml` that only this user and root can write.
Whatever else is wrong with the settings does not hinder them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple

from ..errors import TempError, reason_of
from ..store.project.place import ENV_PREFIX
from ..store.project.project import find_monorepo
from ..store.project.trusted import why_not_trusted
from ..store.root.sources import PYPROJECT, read_toml
from ..store.root.values import read_value

Key = Literal["on_failure", "on_success"]
KEYS: Final[tuple[Key, ...]] = ("on_failure", "on_success")
MOST_SECONDS: Final = 60.0
"""How long such a command may take before it is killed."""


class Command(NamedTuple):
    """A command, and the settings file that has it; `None` for a variable."""

    words: tuple[str, ...]
    file: Path | None


def command_of(
    project: Path, key: Key, environment: Mapping[str, str] | None = None
) -> Command | None:
    """The command that is set for `project`, if any. Raises `InvalidSettings`."""
    variable = f"{ENV_PREFIX}{key.upper()}"
    said = (os.environ if environment is None else environment).get(variable)
    if said is not None:
        return Command(read_value(said, "command", f"environment: {variable}"), None)
    for directory in dict.fromkeys((project, find_monorepo(project))):
        path = directory / PYPROJECT
        table: object = read_toml(path, key.encode())
        for name in ("tool", "tempkeep"):
            table = table.get(name) if isinstance(table, dict) else None
        if isinstance(table, dict) and key in table:
            where = f"{path}: [tool.tempkeep]: {key}"
            return Command(read_value(table[key], "command", where), path)
    return None


def why_not_run(command: Command, *, by_schedule: bool) -> str:
    """Why the command is not run; "" if it may be.

    Whoever can push to a repository can write a file that git tracks there. That is trusted where
    this user has scheduled the clean, and not where making an entry has started it.
    """
    if command.file is None:
        return ""
    why = why_not_trusted(command.file)
    if not why and not by_schedule:
        from ..store.project.tracked import tracks

        if tracks(str(command.file)):
            why = f"git tracks {command.file}, and auto_clean started this"
    return why


def notify(project: Path, key: Key, report: Callable[[], str], *, by_schedule: bool) -> str:
    """Run the command with the `report` on stdin, if one is set; what went wrong with it, or "".

    What it prints goes to stderr.
    """
    try:
        command = command_of(project, key)
        if command is None:
            return ""
        why = why_not_run(command, by_schedule=by_schedule)
        how = f" is not run: {why}" if why else _run(command, report())
        return f"{key}{how}" if how else ""
    except OSError as error:
        return f"{key} cannot be run: {reason_of(error)}"
    except TempError as error:
        return f"{key} is not run: {error}"


def _run(command: Command, report: str) -> str:
    """How it failed, in words that follow its name; "" if it ended with 0. Raises `OSError`."""
    where = os.path.expanduser("~") if command.file is None else command.file.parent
    started = subprocess.Popen(  # noqa: S603
        command.words,
        cwd=where if os.path.isdir(where) else os.sep,
        stdin=subprocess.PIPE,
        stdout=2,
        start_new_session=True,
    )
    try:
        started.communicate(report.encode("ascii"), MOST_SECONDS)
    except subprocess.TimeoutExpired:
        return f" took more than {MOST_SECONDS:.0f} s and was killed"
    finally:
        if started.returncode is None:
            _kill(started)
    return f" ended with {started.returncode}" if started.returncode else ""


def _kill(started: subprocess.Popen[bytes]) -> None:
    """Kill the process and what it has started in its session."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(started.pid, signal.SIGKILL)
    started.kill()
    started.wait()
