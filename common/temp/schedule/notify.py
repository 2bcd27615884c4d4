"""Runs a command when a scheduled clean ends: the settings `on_failure` and `on_success`.

`trusted_setting` decides who may set them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from ..errors import TempError, reason_of
from ..report.text import plain
from .trusted_setting import TrustedSetting, setting_of

Key = Literal["on_failure", "on_success"]
KEYS: Final[tuple[Key, ...]] = ("on_failure", "on_success")
MOST_SECONDS: Final = 60.0
"""How long the command may run before it is killed, in seconds."""


def notify(project: Path, key: Key, report: Callable[[], str], *, by_schedule: bool) -> str:
    """Run the command that is set, if any, with the `report` on stdin.

    Returns what went wrong, or "". The output of the command goes to stderr.
    """
    try:
        command = setting_of(project, key)
        if command is None:
            return ""
        why = command.why_not_used(by_schedule=by_schedule)
        how = f" is not run: {why}" if why else _run(command, report())
        return f"{key}{how}" if how else ""
    except OSError as error:
        what = f"{plain(error.filename)}: " if isinstance(error.filename, str) else ""
        return f"{key} cannot be run: {what}{reason_of(error)}"
    except TempError as error:
        return f"{key} is not run: {error}"


def _run(command: TrustedSetting, report: str) -> str:
    """How the command failed, as a clause to append to its name; "" if it exited with 0.

    Raises `OSError` if it cannot be run.
    """
    where = os.path.expanduser("~") if command.file is None else command.file.parent
    started = subprocess.Popen(  # noqa: S603
        command.value,
        cwd=where if os.path.isdir(where) else os.sep,
        stdin=subprocess.PIPE,
        stdout=2,
        start_new_session=True,
    )
    try:
        started.communicate(f"{report}\n".encode("ascii"), MOST_SECONDS)
    except subprocess.TimeoutExpired:
        return f" took more than {MOST_SECONDS:.0f} s and was killed"
    finally:
        if started.returncode is None:
            _kill(started)
    return f" ended with {started.returncode}" if started.returncode else ""


def _kill(started: subprocess.Popen[bytes]) -> None:
    """Kill the command, and the processes that it started in its session."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(started.pid, signal.SIGKILL)
    started.kill()
    started.wait()
