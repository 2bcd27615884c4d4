"""systemd: a timer and a service of the user, and a service to run when that one fails."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import Final

from ..core.fields import Unreadable
from ..errors import StorageError, TempError
from ..store.system.reading import read_file
from ..store.system.writing import write_whole
from .job import HOUR_OF_DAY, Job, demand, run

NAME = "systemd"
PLATFORMS: tuple[str, ...] = ()
HAS_FILES = True
_SYSTEMCTL: Final = ["systemctl", "--user"]
_FIRST: Final = 15
"""Minutes from the start of a timer without a calendar to its first run: short, so that it also
runs on a machine that is switched off each night."""


def why_not() -> str:
    """Why no job can be installed here; "" if one can."""
    if not shutil.which("systemctl"):
        return "there is no systemctl"
    code, _, said = run([*_SYSTEMCTL, "show-environment"])
    return f"this user has no running systemd: {said}" if code else ""


def show(job: Job) -> list[tuple[str, str]]:
    """The files that would be written, each with its path and its text, in the order of writing."""
    service, failed, timer, _ = map(str, _paths(job))
    files = [(service, service_text(job)), (timer, timer_text(job))]
    return [*files, (failed, failed_text(job))] if job.when_failed else files


def service_text(job: Job) -> str:
    """The text of the service that cleans."""
    failed = f"OnFailure={_failed(job)}\n" if job.when_failed else ""
    return _oneshot(f"Description={_literal(job.title)}\n{failed}", job.project, job.command)


def failed_text(job: Job) -> str:
    """The text of the service that systemd starts when the other one failed or was killed."""
    title = _literal(f"Report if this was killed: {job.title}")
    return _oneshot(f"Description={title}\n", job.project, job.when_failed)


def _oneshot(about: str, project: str, command: tuple[str, ...]) -> str:
    directory = _literal(project)
    # A trailing backslash would continue the line, and a trailing space would be lost.
    if directory.endswith(("\\", " ")):
        directory += "/"
    # systemd rejects a program path with these characters.
    if re.search(r"""[$'"\\]""", command[0]):
        command = ("/bin/sh", "-c", 'exec "$@"', "sh", *command)
    return (
        f"# {_MADE_BY}\n"
        f"[Unit]\n{about}\n"
        "[Service]\n"
        "Type=oneshot\n"
        f"WorkingDirectory={directory}\n"
        f"ExecStart={' '.join(map(_quoted, command))}\n"
    )


def timer_text(job: Job) -> str:
    """The text of the timer."""
    if job.is_by_the_clock:
        # A run that was missed while the machine was off happens at the next start.
        when = f"OnCalendar={calendar(job)}\nPersistent=true\n"
    else:
        first = min(_FIRST, job.every)
        when = f"OnActiveSec={first}min\nOnUnitActiveSec={job.every}min\n"
    return (
        f"# {_MADE_BY}\n"
        "[Unit]\n"
        f"Description={_literal(job.title)}\n"
        "\n"
        f"[Timer]\n{when}\n"
        "[Install]\n"
        "WantedBy=timers.target\n"
    )


def calendar(job: Job) -> str:
    """The times at which the job runs, in the notation of `systemd.time`."""
    hours, minutes = divmod(job.every, 60)
    if not hours:
        return f"*-*-* *:{job.minute % minutes}/{minutes}:00"
    if hours < 24:
        return f"*-*-* 0/{hours}:{job.minute:02}:00"
    day = "Sun " if hours > 24 else ""
    return f"{day}*-*-* {HOUR_OF_DAY:02}:{job.minute:02}:00"


_MADE_BY: Final = (
    "Made by `inv temp-schedule`; `inv temp-schedule --remove` in the project removes it."
)


def _literal(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """`word` quoted as one argument in a command line of systemd."""
    if re.fullmatch("[A-Za-z0-9_./=,+-]+", word):
        return word
    escaped = _literal(word).replace("$", "$$").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _failed(job: Job) -> str:
    return f"{job.name}-failed.service"


def _paths(job: Job) -> tuple[Path, Path, Path, Path]:
    """The paths of the service, the service for failures, the timer, and the link to enable it."""
    said = os.environ.get("XDG_CONFIG_HOME", "")
    configured = Path(said) if os.path.isabs(said) else Path.home() / ".config"
    units = configured / "systemd" / "user"
    timer = f"{job.name}.timer"
    wanted = units / "timers.target.wants" / timer
    return units / f"{job.name}.service", units / _failed(job), units / timer, wanted


def install(job: Job) -> list[str]:
    """Write the units and start the timer. Returns their paths.

    Raises `StorageError`; then everything is as before.
    """
    before = {path: _read(Path(path)) for path, _ in show(job)}
    timer = f"{job.name}.timer"
    try:
        for path, text in show(job):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_whole(Path(path), text, "choose another scheduler with --as")
        demand([*_SYSTEMCTL, "daemon-reload"])
        demand([*_SYSTEMCTL, "enable", timer])
        demand([*_SYSTEMCTL, "restart", timer])
    except (OSError, TempError) as error:
        if all(old is None for old in before.values()):
            remove(job)
        else:
            for path, old in before.items():
                if old is None:  # an older version installed none
                    Path(path).unlink(missing_ok=True)
                else:
                    write_whole(Path(path), old)
            with contextlib.suppress(TempError):
                run([*_SYSTEMCTL, "daemon-reload"])
        if isinstance(error, TempError):
            raise
        raise StorageError.of(f"cannot write {error.filename}", error) from error
    return [*before]


def remove(job: Job) -> list[str]:
    """Stop the timer and delete the units. Returns what was deleted. Raises `StorageError`."""
    there = [path for path in _paths(job) if os.path.lexists(path)]
    if not there:
        return []
    # Without a running systemd there is nothing to stop, only files to delete.
    with contextlib.suppress(TempError):
        run([*_SYSTEMCTL, "disable", "--now", f"{job.name}.timer"])
    for path in reversed(there):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError.of(f"cannot delete {path}", error) from error
    with contextlib.suppress(TempError):
        run([*_SYSTEMCTL, "daemon-reload"])
    return [str(path) for path in there]


def note() -> str:
    """A note to print after installing."""
    return (
        "it only runs while you are logged in, unless you run `loginctl enable-linger`; "
        "`systemctl --user list-timers` shows when"
    )


def _read(path: Path) -> str | None:
    try:
        return read_file(path, follow=True).decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Unreadable as problem:
        raise StorageError(0, f"{path} {problem}") from problem
