"""`temp-schedule` without invoke: chooses a scheduler, and prints, installs or removes a job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from ..choices import SCHEDULERS as WORDS
from ..choices import choose
from ..core.units import read_interval, spell_interval
from ..errors import InvalidSettings
from ..report.text import plain
from ..store.project.place import standing_project
from ..store.project.project import root_of
from ..store.root.schedule_log import LOG
from ..store.settings.loading import load
from ..store.settings.settings import Settings
from ..store.settings.values import check_strategy
from .job import Job, job_of, named
from .notify import KEYS
from .run import check_limits
from .schedulers import SCHEDULERS, Scheduler
from .textfile import KEY as METRICS_FILE
from .trusted_setting import setting_of


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
    """Print what would be installed, or install or remove it. Returns the exit code."""
    if arguments.install + arguments.remove + arguments.show > 1:
        raise InvalidSettings("--install, --remove and --print exclude each other; choose one")
    if arguments.kind is not None:
        choose(arguments.kind, "--as", WORDS)
    project = standing_project()
    if arguments.remove:
        return _remove(named(project), arguments)
    if arguments.every is None:
        raise InvalidSettings("--every: say how often to clean, for example 15m, 6h, 1d or 7d")
    every = read_interval(arguments.every, "--every")
    if arguments.strategy is not None:
        check_strategy(arguments.strategy, "--strategy")
    # Without this environment's variables: the job will not have them.
    settings = load(project, {})
    if arguments.strategy is None:
        check_limits(settings)
    scheduler = _chosen(arguments)
    job = job_of(project, every, arguments.strategy)
    for key in (*KEYS, METRICS_FILE):
        found = setting_of(project, key, {})
        if found is not None and (why := found.why_not_used(by_schedule=True)):
            what = "written" if key == METRICS_FILE else "run"
            print(f"{key} will not be {what}: {plain(why)}", file=sys.stderr)
    if not arguments.install or arguments.dry_run:
        for where, text in scheduler.show(job):
            print(f"# {plain(where)}\n{text}")
        print("nothing was written; use --install to install it", file=sys.stderr)
        _say_if_dry(settings)
        return 0
    scheduler.show(job)  # if it cannot express the job, it raises before anything changes
    for where in scheduler.install(job):
        print(f"installed {plain(where)}")
    # With a job in two schedulers, each clean would run twice.
    for other in SCHEDULERS.values():
        if other is not scheduler:
            _remove_from(other, job)
    print(
        f"{plain(project.name)} is cleaned every {spell_interval(every)} by {scheduler.NAME}: "
        f"{scheduler.note()}; each run adds a line to {plain(str(root_of(project) / LOG))}"
    )
    _say_if_dry(settings)
    return 0


def _say_if_dry(settings: Settings) -> None:
    if settings.dry_run:
        print(
            "dry_run is configured, so each run only says what it would do; remove that setting "
            "to clean",
            file=sys.stderr,
        )


def _remove(job: Job, arguments: ScheduleArguments) -> int:
    chosen = list(SCHEDULERS.values())
    if arguments.kind is not None:
        chosen = [SCHEDULERS[arguments.kind]]
        if not chosen[0].HAS_FILES and (why := chosen[0].why_not()):
            raise InvalidSettings(f"--as {arguments.kind}: {why}")
    if arguments.dry_run:
        print(f"would remove what is installed as {job.name}")
        return 0
    if not sum(_remove_from(scheduler, job) for scheduler in chosen):
        print(f"{plain(Path(job.project).name)}: nothing is scheduled")
    return 0


def _remove_from(scheduler: Scheduler, job: Job) -> int:
    """Remove `job` from this scheduler. Returns the number of places it was removed from."""
    if not scheduler.HAS_FILES and scheduler.why_not():
        return 0
    gone = scheduler.remove(job)
    for where in gone:
        print(f"removed {plain(where)}")
    return len(gone)


def _chosen(arguments: ScheduleArguments) -> Scheduler:
    """The requested scheduler, or else the one of this machine. Raises `InvalidSettings`."""
    if arguments.kind is not None:
        scheduler = SCHEDULERS[arguments.kind]
        if arguments.install and (why := scheduler.why_not()):
            raise InvalidSettings(f"--as {arguments.kind}: {why}; choose another, or --print")
        return scheduler
    native = next((one for one in SCHEDULERS.values() if sys.platform in one.PLATFORMS), None)
    if native is not None:
        return native
    found = [one for one in SCHEDULERS.values() if not one.PLATFORMS and not one.why_not()]
    if not found:
        raise InvalidSettings(
            "found neither systemd for this user nor crontab; choose a scheduler to print with --as"
        )
    return found[0]
