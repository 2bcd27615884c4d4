"""What `temp-schedule` does, without invoke: choose a scheduler, print, install or remove."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

from ..core.units import read_interval, spell_interval
from ..errors import InvalidSettings
from ..report.text import plain
from ..store.project.place import standing_project
from ..store.project.project import root_of
from ..store.root.settings import Settings, load
from ..store.root.values import check_strategy
from . import cron, launchd, systemd, windows
from .job import Job, job_of, named
from .log import LOG
from .run import check_limits

SCHEDULERS: Final[dict[str, ModuleType]] = {
    module.NAME: module for module in (systemd, cron, launchd, windows)
}
_KEPT_BY_PROGRAMS: Final = (cron, windows)
"""Those of them of which nothing can be found without their programs; the others have files."""


class ScheduleArguments(NamedTuple):
    """The arguments of `temp-schedule` as they were typed."""

    every: str | None = None
    strategy: str | None = None
    install: bool = False
    remove: bool = False
    show: bool = False
    kind: str | None = None
    dry_run: bool = False


def schedule(arguments: ScheduleArguments) -> int:
    """Print what would be installed, install it, or remove it; the exit code."""
    if arguments.install + arguments.remove + arguments.show > 1:
        raise InvalidSettings("--install, --remove and --print exclude each other; choose one")
    if arguments.kind is not None and arguments.kind not in SCHEDULERS:
        expected = ", ".join(SCHEDULERS)
        raise InvalidSettings(f"--as: expected one of {expected}, got {arguments.kind!r}")
    project = standing_project()
    if arguments.remove:
        return _remove(named(project), arguments)
    if arguments.every is None:
        raise InvalidSettings("--every: say how often to clean, as 15m, 6h, 1d or 7d")
    every = read_interval(arguments.every, "--every")
    if arguments.strategy is not None:
        check_strategy(arguments.strategy, "--strategy")
    # Not what this environment adds, which the job will not have.
    settings = load(project, {})
    if arguments.strategy is None:
        check_limits(settings)
    scheduler = _chosen(arguments)
    job = job_of(project, every, arguments.strategy)
    if not arguments.install or arguments.dry_run:
        for where, text in scheduler.show(job):
            print(f"# {plain(where)}\n{text}")
        print("nothing was written; --install does that", file=sys.stderr)
        _say_if_dry(settings)
        return 0
    scheduler.show(job)  # whatever it cannot say ends this before anything is touched
    for where in scheduler.install(job):
        print(f"installed {plain(where)}")
    # Two schedulers would clean twice.
    for other in SCHEDULERS.values():
        if other is not scheduler:
            _take_away(other, job)
    print(
        f"{plain(project.name)} is cleaned every {spell_interval(every)} by {scheduler.NAME}: "
        f"{scheduler.note()}; each run adds a line to {plain(str(root_of(project) / LOG))}"
    )
    _say_if_dry(settings)
    return 0


def _say_if_dry(settings: Settings) -> None:
    if settings.dry_run:
        print(
            "dry_run is configured, so each run only says what it would do; take that out to have "
            "it clean",
            file=sys.stderr,
        )


def _remove(job: Job, arguments: ScheduleArguments) -> int:
    chosen = list(SCHEDULERS.values())
    if arguments.kind is not None:
        chosen = [SCHEDULERS[arguments.kind]]
        if chosen[0] in _KEPT_BY_PROGRAMS and (why := chosen[0].why_not()):
            raise InvalidSettings(f"--as {arguments.kind}: {why}")
    if arguments.dry_run:
        print(f"would remove what is installed as {job.name}")
        return 0
    if not sum(_take_away(scheduler, job) for scheduler in chosen):
        print(f"{plain(Path(job.project).name)}: nothing is scheduled")
    return 0


def _take_away(scheduler: ModuleType, job: Job) -> int:
    """Remove `job` there; from how many places."""
    if scheduler in _KEPT_BY_PROGRAMS and scheduler.why_not():
        return 0
    gone = scheduler.remove(job)
    for where in gone:
        print(f"removed {plain(where)}")
    return len(gone)


def _chosen(arguments: ScheduleArguments) -> ModuleType:
    """The scheduler that was asked for, else what this machine has. Raises `InvalidSettings`."""
    if arguments.kind is not None:
        scheduler = SCHEDULERS[arguments.kind]
        if arguments.install and (why := scheduler.why_not()):
            raise InvalidSettings(f"--as {arguments.kind}: {why}; choose another, or --print")
        return scheduler
    if sys.platform == "darwin":
        return launchd
    if sys.platform == "win32":
        return windows
    found = [scheduler for scheduler in (systemd, cron) if not scheduler.why_not()]
    if not found:
        raise InvalidSettings(
            "neither systemd for this user nor a crontab is here; --as says for which scheduler "
            "to print"
        )
    return found[0]
