"""A scheduled job: what runs, where and how often, for any scheduler."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

from ..core.units import MINUTE_STEPS, spell_interval
from ..errors import InvalidSettings, StorageError, reason_of

HOUR_OF_DAY: Final = 3
"""The hour of a daily job, in local time: at night, and one that daylight saving never skips."""

MOST_NAME: Final = 40

PACKAGE: Final = __name__.rpartition(".schedule.")[0]
"""The name of this package in this process."""

_INSTALLED: Final = "tempkeep"
"""The name of this package where it is installed."""


class Job(NamedTuple):
    """A clean of the directory `project` (absolute) by `command`, every `every` minutes.

    A scheduler that supports it runs `when_failed` after a run that failed or was killed.
    """

    project: str
    command: tuple[str, ...]
    every: int
    when_failed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the job: plain ASCII, and different for each project."""
        slug = re.sub("[^A-Za-z0-9]+", "-", os.path.basename(self.project)).strip("-")
        return f"tempkeep-{slug[:MOST_NAME] or 'project'}-{self._digest[:8]}"

    @property
    def minute(self) -> int:
        """The minute of the hour at which the job runs: fixed, but spread over the projects."""
        return int(self._digest[8:16], 16) % 60

    @property
    def title(self) -> str:
        """A line that says what the job does. It does not end with the path of the project."""
        return f"Clean the scratch in {self.project}/.tmp"

    @property
    def _digest(self) -> str:
        return hashlib.sha256(os.fsencode(self.project)).hexdigest()

    @property
    def is_by_the_clock(self) -> bool:
        """Whether a calendar can express the interval: the same time each hour, day or week."""
        return self.every in MINUTE_STEPS


def job_of(project: Path, every: int = 1, strategy: str | None = None) -> Job:
    """The job that cleans `project`.

    Raises `InvalidSettings` for a path that no scheduler accepts, and `StorageError` if Python
    cannot be run.
    """
    command, when_failed = _commands(project, strategy)
    job = Job(str(project), command, every, when_failed)
    for text in (job.project, *job.command, *job.when_failed):
        if any(_is_unfit(letter) for letter in text):
            raise InvalidSettings(
                f"{text!r} has a line break or another character that no scheduler accepts; "
                "rename the directory"
            )
    return job


def named(project: Path) -> Job:
    """The job of `project` without its commands, to find an installed job by its name."""
    return Job(str(project), (), 1)


def _is_unfit(letter: str) -> bool:
    code = ord(letter)
    is_control = code < 0x20 or 0x7F <= code < 0xA0
    return is_control or 0xD800 <= code < 0xE000 or code in (0x2028, 0x2029, 0xFFFE, 0xFFFF)


def _commands(project: Path, strategy: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The command that cleans, and the one to run when it failed.

    Neither needs a `PATH`, an activated environment or a `PYTHONPATH`.
    """
    arguments = ["temp-clean", "--yes", "--scheduled"]
    if strategy is not None:
        arguments += ["--strategy", strategy]
    # -P: a module of the project with the name of this package must not hide it.
    python = (os.path.abspath(sys.executable), "-P")
    after = "from {}.schedule.run import failed; failed()"
    for name in dict.fromkeys((_INSTALLED, PACKAGE)):
        if _finds_this_package(python[0], name, project):
            return (*python, "-m", name, *arguments), (*python, "-c", after.format(name))
    home = Path(os.path.abspath(__file__)).parents[1 + len(PACKAGE.split("."))]
    found = f"import sys; sys.path.insert(0, {str(home)!a}); "
    code = f"{found}from {PACKAGE}.__main__ import main; main()"
    return (*python, "-c", code, *arguments), (*python, "-c", found + after.format(PACKAGE))


def _finds_this_package(python: str, name: str, project: Path) -> bool:
    kept = {key: text for key, text in os.environ.items() if not key.startswith("PYTHON")}
    code = f"import os, {name} as it; print(os.path.realpath(os.path.dirname(it.__file__)))"
    try:
        done = subprocess.run(  # noqa: S603
            [python, "-P", "-c", code], cwd=project, env=kept, capture_output=True, check=False
        )
    except OSError as error:
        raise StorageError.of(f"cannot run {python}", error) from error
    return os.fsdecode(done.stdout).rstrip("\r\n") == str(Path(__file__).resolve().parents[1])


def by_the_clock(job: Job, scheduler: str) -> None:
    """Raise `InvalidSettings`, with the nearest intervals, if no calendar can express this one."""
    if job.is_by_the_clock:
        return
    below = max((step for step in MINUTE_STEPS if step < job.every), default=None)
    above = min((step for step in MINUTE_STEPS if step > job.every), default=None)
    nearest = " or ".join(spell_interval(step) for step in (below, above) if step is not None)
    raise InvalidSettings(
        f"--every: {scheduler} cannot run a job exactly every {spell_interval(job.every)}; "
        f"choose {nearest}"
    )


def run(command: list[str], data: bytes | None = None) -> tuple[int, bytes, str]:
    """Run a scheduler's program. Returns its exit code, output and first line on stderr.

    Raises `StorageError` if it cannot be run.
    """
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603
            command, input=data, env=environment, capture_output=True, check=False
        )
    except OSError as error:
        raise StorageError(
            error.errno or 0, f"cannot run {command[0]}: {reason_of(error)}"
        ) from error
    said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
    return done.returncode, done.stdout, said


def demand(command: list[str], data: bytes | None = None) -> None:
    """Run a scheduler's program. Raises `StorageError` with its message if it fails."""
    code, _, said = run(command, data)
    if code:
        raise StorageError(0, f"`{' '.join(command)}` ended with {code}: {said or 'no message'}")
