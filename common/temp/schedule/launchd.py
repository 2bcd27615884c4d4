"""launchd: an agent of the user, on macOS."""

from __future__ import annotations

import contextlib
import os
import plistlib
import shutil
from pathlib import Path
from typing import Any

from ..errors import StorageError, TempError
from ..store.system.writing import write_whole
from .job import HOUR_OF_DAY, Job, demand, run

NAME = "launchd"
PLATFORMS: tuple[str, ...] = ("darwin",)
HAS_FILES = True


def why_not() -> str:
    """Why no job can be installed here; "" if one can."""
    return "" if shutil.which("launchctl") else "there is no launchctl"


def show(job: Job) -> list[tuple[str, str]]:
    """The file that would be written: its path and its text."""
    return [(str(_path(job)), plistlib.dumps(agent(job)).decode())]


def agent(job: Job) -> dict[str, Any]:
    """The content of the property list."""
    said: dict[str, Any] = {
        "Label": job.name,
        "ProgramArguments": [*job.command],
        "WorkingDirectory": job.project,
        "ProcessType": "Background",
    }
    if job.every % (24 * 60) or not job.is_by_the_clock:
        said["StartInterval"] = job.every * 60
    else:
        # A calendar makes up at wake-up for a run missed during sleep; an interval does not.
        at = {"Hour": HOUR_OF_DAY, "Minute": job.minute}
        said["StartCalendarInterval"] = {**at, "Weekday": 0} if job.every > 24 * 60 else at
    return said


def _path(job: Job) -> Path:
    return Path.home() / "Library" / "LaunchAgents" / f"{job.name}.plist"


def _domain() -> str:
    return f"gui/{os.getuid()}"


def install(job: Job) -> list[str]:
    """Write the agent and load it. Returns its path.

    Raises `StorageError`; then no agent is left.
    """
    remove(job)
    ((path, text),) = show(job)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(Path(path), text)
        demand(["launchctl", "bootstrap", _domain(), path])
    except (OSError, TempError) as error:
        Path(path).unlink(missing_ok=True)
        if isinstance(error, TempError):
            raise
        raise StorageError.of(f"cannot write {path}", error) from error
    return [path]


def remove(job: Job) -> list[str]:
    """Unload the agent and delete its file, if there is one. Raises `StorageError`."""
    path = _path(job)
    if not os.path.lexists(path):
        return []
    with contextlib.suppress(TempError):
        run(["launchctl", "bootout", f"{_domain()}/{job.name}"])
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError.of(f"cannot delete {path}", error) from error
    return [str(path)]


def note() -> str:
    """A note to print after installing."""
    return "it only runs while you are logged in; `launchctl list` shows it"
