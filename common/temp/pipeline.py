"""Runs of a pipeline, kept by policy: made and leased while they go on, and cleaned by their base.

A run is a directory `pipeline_artifacts_YYYYMMDD_HHMMSS` directly in its base, whoever made it;
nothing else in the base is ours. `python3 -m common.temp.pipeline` cleans from a command line.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, NoReturn

from .core.disposal import DISPOSALS
from .core.layout import PIPELINE
from .core.plan import Report
from .core.retention import Policy
from .errors import InvalidSettings, Refused, StorageError, TempError
from .report.text import plain, shortfall_lines
from .store.project.place import project_root
from .store.project.project import absolute, find_project, is_nobodys
from .store.root.allocation import allocate_named, layout_of
from .store.root.names import fresh_name
from .store.root.owner import release
from .store.root.settings import (
    Settings,
    check_config,
    check_strategy,
    load,
    of_config,
    with_strategy,
)

_ATTEMPTS: Final = 64

_log = logging.getLogger(__name__)


class CleanupStrategy(Enum):
    """The strategies by the names that settings have for them."""

    AGGRESSIVE = "aggressive"
    MODERATE = "moderate"
    CONSERVATIVE = "conservative"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class CleanupConfig:
    """What `cleanup_config.json` may say, as a value; `None` is what the strategy says.

    A run is excluded if its whole name matches one of `exclude_patterns`, which are shell globs:
    `*_20250917_*`, not a part of the name. A relative `archive_location` lies in the base. Raises
    `InvalidSettings` for a value that the file could not have.
    """

    strategy: CleanupStrategy = CleanupStrategy.MODERATE
    max_age_days: float | None = None
    max_runs_to_keep: int | None = None
    archive_before_delete: bool = False
    archive_location: str | os.PathLike[str] | None = None
    archive_format: str = "dir"
    dry_run: bool = False
    exclude_patterns: Sequence[str] = ()
    min_free_space_gb: float | None = None
    foreign_hours: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.exclude_patterns, list):
            object.__setattr__(self, "exclude_patterns", tuple(self.exclude_patterns))
        check_config(self._said(), type(self).__name__)

    def settings(self, base: Path) -> Settings:
        """The settings that these are for the runs in `base`, whatever its project has set."""
        return of_config(base, self._said(), type(self).__name__)

    def _said(self) -> dict[str, object]:
        """What a file would say, which has texts and lists where there are better values here."""
        said = {key: value for key, value in asdict(self).items() if value is not None}
        for key, value in said.items():
            if isinstance(value, CleanupStrategy):
                said[key] = value.value
            elif isinstance(value, os.PathLike):
                said[key] = os.fspath(value)
            elif isinstance(value, tuple):
                said[key] = [*value]
        if self.archive_before_delete is False:
            # That is not said by anybody, and would have the archive strategy delete.
            del said["archive_before_delete"]
        return said


# -- runs -------------------------------------------------------------------------------------

_mine: ContextVar[Path | None] = ContextVar("_mine", default=None)
"""The run that this thread or task has started last."""

_last: Path | None = None
"""The run that this process has started last."""

_leased: dict[Path, int] = {}
"""The runs that were started and not let go yet, and by which process."""


def start_run(base: str | os.PathLike[str] = ".") -> Path:
    """The absolute path of a new, empty run in `base`, in use until this process ends.

    It is named by the time in UTC, `pipeline_artifacts_20250917_013040`; another in the same second
    is `pipeline_artifacts_20250917_013040-<a few hex digits>`. `base` is made if it is missing, and
    never deleted; where scratch does not belong (`/`, a home directory) it must be given, else it
    is the project of the script. Raises `InvalidSettings`, `Refused` or `StorageError`.
    """
    global _last
    root = str(_absolute(base))
    epoch = int(time.time())
    stem = f"{PIPELINE.label}_{time.strftime('%Y%m%d_%H%M%S', time.gmtime(epoch))}"
    name = fresh_name(root, stem, epoch, short=False)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            run = Path(allocate_named(root, name, PIPELINE))
        except FileExistsError:
            name = fresh_name(root, stem, epoch, attempt, short=False)
            continue
        _last = run
        _leased[run] = os.getpid()
        _mine.set(run)
        return run
    raise StorageError(0, f"cannot make a run in {root} in {_ATTEMPTS} attempts")


@contextlib.contextmanager
def pipeline_run(base: str | os.PathLike[str] = ".") -> Iterator[Path]:
    """A context manager: a new run as of `start_run`, in use until the block ends.

    However it ends, the run stays until the policy lets it go.
    """
    run = start_run(base)
    try:
        yield run
    finally:
        _let_go(run)


def _let_go(run: Path) -> None:
    """End the lease that this process took when it started the run, once: others may be held."""
    if _leased.pop(run, None) == os.getpid():
        release(str(run.parent), run.name)


def _absolute(base: str | os.PathLike[str]) -> Path:
    text = os.fspath(base)
    if not text or "\0" in text:
        raise InvalidSettings(f"base: expected the path of a directory, got {text!r}")
    path = absolute(Path(text))
    # A program that cron starts did not choose to be in `/`, nor in a home directory.
    return Path(project_root()).parent if text == os.curdir and is_nobodys(path) else path


# -- cleaning ---------------------------------------------------------------------------------


class ArtifactCleaner:
    """Cleans the runs in `base_path` by `config`; `cleanup` does it, as often as it is called.

    A `CleanupConfig` says all by itself. Without one the settings of the project hold in which the
    base lies, with the strategy moderate if they have no limit. The path of a file stands for the
    `cleanup_config.json` of that project. Raises `InvalidSettings` for a base that is no path.
    """

    def __init__(
        self,
        base_path: str | os.PathLike[str],
        config: CleanupConfig | str | os.PathLike[str] | None = None,
    ) -> None:
        self.base_path = _absolute(base_path)
        self.config = config

    def cleanup(self, force: bool = False) -> dict[str, Any]:
        """Clean the runs once, and return what was done; `force` overrides a configured dry run.

        `directories_found` are all runs, `candidates_identified` those that the policy lets go,
        `directories_archived` and `directories_deleted` those that went. `space_freed_bytes` is
        what was freed, as measured: 0 for what was archived on the same disk. `errors` has a line
        for each run or archive that failed, or for what kept all of them from being looked at:
        nothing on disk or in the settings is raised. That less is free afterwards than
        `min_free_space_gb` wants is no error; it is logged as a warning, with what holds the space.
        """
        return self._cleanup(force=force)

    def _cleanup(
        self, *, force: bool = False, strategy: str | None = None, keep: str = ""
    ) -> dict[str, Any]:
        try:
            settings = _settings(self.base_path, self.config, strategy)
            report = _sweep(self.base_path, settings, force=force, keep=keep)
        except (TempError, OSError) as error:
            return _statistics(None, [str(error)])
        shortfall = None if report.free is None else report.plan.shortfall(report.free)
        for line in shortfall_lines(str(self.base_path), shortfall, "free"):
            _log.warning("%s", line)
        gone = {outcome.step.entry.path for outcome in report.done}
        failed = [
            f"{outcome.step.entry.path}: {outcome.detail}"
            for outcome in (*report.dropped, *report.outcomes)
            if outcome.status == "failed"
        ]
        unseen = [
            f"{problem.path}: {problem.what}"
            for problem in report.problems
            if problem.blocking and problem.path not in gone
        ]
        return _statistics(report, failed + unseen)


def cleanup_after_pipeline_run(
    pipeline_name: str = "pipeline",
    keep_current: bool = True,
    strategy: CleanupStrategy = CleanupStrategy.MODERATE,
) -> dict[str, Any]:
    """Clean the runs beside the one that has just ended; returns what `ArtifactCleaner` does.

    The base is that of the run which this thread or task has started last, else the process; in a
    process that has started none it is the working directory. Runs in use stay, and so does the
    one that was started last, unless `keep_current` is false: then it is no longer in use by this
    process, and the policy decides.

    The numbers of `strategy` stand for those that the project has configured; its other settings
    hold, that of an archive too. `pipeline_name` is what the log calls it. Nothing on disk or in
    the settings is raised: it is in `errors`, and logged as a warning.
    """
    run = _mine.get() or _last
    keep = ""
    try:
        cleaner = ArtifactCleaner(run.parent if run is not None else ".")
    except StorageError as error:
        done = _statistics(None, [str(error)])
    else:
        if run is not None and keep_current:
            keep = run.name
        elif run is not None:
            _let_go(run)
        name = strategy.value if isinstance(strategy, CleanupStrategy) else strategy
        done = cleaner._cleanup(strategy=name, keep=keep)
    for problem in done["errors"]:
        _log.warning("cleaning after %s: %s", pipeline_name, problem)
    _log.info("cleaned after %s: %s", pipeline_name, done)
    return done


def _settings(
    base: Path,
    config: CleanupConfig | str | os.PathLike[str] | None,
    strategy: str | None,
) -> Settings:
    """What holds for the runs in `base`; a `strategy` comes last. Raises `InvalidSettings`."""
    if isinstance(config, CleanupConfig):
        settings = config.settings(base)
    else:
        settings = load(find_project(base), config=None if config is None else Path(config))
    policy = settings.policy().of(PIPELINE.category)
    if strategy is None and not policy._replace(categories=()).has_limit:
        strategy = CleanupStrategy.MODERATE.value
    if strategy is not None:
        settings = with_strategy(settings, check_strategy(strategy, "strategy"))
    archive = settings.archive_path()
    archives = DISPOSALS[settings.disposal].needs_archive
    if archives and os.path.realpath(archive) == os.path.realpath(base):
        raise InvalidSettings(
            f"archive_location: expected another directory than that of the runs, got {archive}"
        )
    return settings


def _sweep(base: Path, settings: Settings, *, force: bool, keep: str) -> Report:
    """What became of the runs in `base`; of a dry run, a report without outcomes.

    The run `keep` stays by its exact name, which needs no lease to be written on a full disk.
    """
    from .store.sweep.prepare import prepare
    from .store.sweep.sweep import execute

    _check_base(base)
    plan = prepare(
        base,
        _excluding(keep, settings.policy()) if keep else settings.policy(),
        time.time(),
        layout=PIPELINE,
        disposal=settings.disposal,
        archive=settings.archive_path(),
        sizes=False,
        workers=settings.workers,
    )
    if settings.dry_run and not force:
        return Report(plan, problems=plan.problems)
    return execute(
        plan,
        archive=settings.archive_path(),
        archive_format=settings.archive_format,
        workers=settings.workers,
        face="ArtifactCleaner",
    )


def _check_base(base: Path) -> None:
    """Raise `Refused` if what lies in `base` is something else than runs."""
    said = layout_of(base, PIPELINE)
    if said is not PIPELINE:
        raise Refused(f"{base} holds {said.name}, not {PIPELINE.name}; choose another directory")


def _excluding(name: str, policy: Policy) -> Policy:
    categories = tuple((category, _excluding(name, own)) for category, own in policy.categories)
    return policy._replace(exclude=(*policy.exclude, name), categories=categories)


def _statistics(report: Report | None, errors: Sequence[str]) -> dict[str, Any]:
    plan = report.plan if report is not None else None
    went = [outcome.step.disposal for outcome in report.done] if report is not None else []
    return {
        "directories_found": len(plan.steps) + len(plan.kept) if plan is not None else 0,
        "candidates_identified": len(plan.steps) if plan is not None else 0,
        "directories_archived": went.count("archive"),
        "directories_deleted": went.count("delete"),
        "space_freed_bytes": report.freed_bytes if report is not None else 0,
        "errors": [plain(error) for error in errors],
    }


# -- the command ------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with one line; argparse would put the usage before it."""
        self.exit(2, f"error: {plain(message)}\n")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Clean as the command line says, and exit: 0 done or nothing to do, 1 some run failed, 2 a bad
    argument or setting, 3 refused.
    """
    try:
        from invoke.exceptions import Exit
    except ModuleNotFoundError as error:
        from .needs import exit_without

        exit_without(error)
        raise

    from .tasks import _run as run

    parser = _Parser(
        prog=f"python3 -m {__spec__.name}",
        description="Clean the runs of a pipeline: directories pipeline_artifacts_YYYYMMDD_HHMMSS. "
        "Those that are in use stay.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--strategy", help="aggressive, moderate (if nothing is configured), conservative, archive")
    add("--dry-run", action="store_true", help="say what would go and why; write nothing")
    add("--force", action="store_true", help="override a configured dry_run")
    add("--config", metavar="FILE", help="in place of the project's cleanup_config.json")
    add("--base", metavar="DIR", help="the directory of the runs, else the working directory")
    given = parser.parse_args(arguments)
    try:
        run(lambda: _command(given))
    except Exit as end:
        parser.exit(end.code, f"{end.message}\n" if end.message else None)
    parser.exit()


def _command(given: argparse.Namespace) -> int:
    from .commands.clean import clean_runs

    base = _absolute("." if given.base is None else given.base)
    # One that somebody named and that is missing is a slip, or a disk that is not mounted.
    if not base.is_dir():
        raise InvalidSettings(f"--base: {base} is not a directory; give the one of the runs")
    if given.strategy is not None:
        check_strategy(given.strategy, "--strategy")
    settings = _settings(base, given.config, given.strategy)
    _check_base(base)
    return clean_runs(base, settings, dry_run=given.dry_run, force=given.force)


if __name__ == "__main__":
    main()
