"""Pipeline runs: start them, mark them as in use while they last, and clean them by a policy.

A run is a directory `pipeline_artifacts_YYYYMMDD_HHMMSS` directly in its base, whatever made it.
Nothing else in the base is touched. `python3 -m common.temp.pipeline` cleans from a command line.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from . import started_runs
from .auto_clean import maybe_start
from .core.entry import Ending
from .core.layouts import PIPELINE
from .core.policy import Need
from .errors import InvalidSettings, Refused, StorageError, TempError
from .pipeline_cleaning import (
    Config,
    Keep,
    check_base,
    plan_for,
    settings_for,
    statistics,
    sweep,
)
from .pipeline_config import CleanupConfig as CleanupConfig
from .pipeline_config import CleanupStrategy as CleanupStrategy
from .pipeline_config import load_config as load_config
from .pipeline_config import save_config as save_config
from .report.clean import shortfall_lines
from .report.text import plain
from .store.project.place import project_root
from .store.project.project import absolute, is_nobodys
from .store.root.allocation import allocate_named
from .store.root.new_names import fresh_name
from .store.root.run_ends import begin, end
from .store.settings.sources import CONFIG_JSON
from .store.settings.values import check_strategy
from .store.system.process_identity import is_fork
from .store.system.space import space_of
from .store.system.user_path import users_path

_ATTEMPTS: Final = 64

_log = logging.getLogger(__name__)


# -- runs -------------------------------------------------------------------------------------


def start_run(base: str | os.PathLike[str] = ".") -> Path:
    """Return the absolute path of a new, empty run in `base`, in use until this process ends.

    Its name has the time in UTC, `pipeline_artifacts_20250917_013040`; another in the same second
    is `pipeline_artifacts_20250917_013040-<a few hex digits>`. `base` is created if it is missing,
    and never deleted. If the working directory is not a place for scratch (`/`, a home directory),
    the default is the script's project. Raises `InvalidSettings`, `Refused` or `StorageError`.
    """
    run = _start(base)
    workers = sys.modules.get("multiprocessing.process")
    # A worker or forked child ends by `os._exit`, which cannot be told from a kill.
    if (workers is None or workers.parent_process() is None) and not is_fork():
        begin(str(run.parent), run.name, PIPELINE)
    return run


def _start(base: str | os.PathLike[str], *, in_block: bool = False) -> Path:
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
        maybe_start(root)
        started_runs.add(run, in_block=in_block)
        return run
    raise StorageError(0, f"cannot make a run in {root} in {_ATTEMPTS} attempts")


@contextlib.contextmanager
def pipeline_run(base: str | os.PathLike[str] = ".") -> Iterator[Path]:
    """A context manager for a new run, as `start_run` makes it, in use until the block ends.

    However the block ends, the run stays until the policy removes it. How it ended is recorded: a
    run ended by an exception or a kill does not count as a good one.
    """
    run = _start(base, in_block=True)
    root, name = str(run.parent), run.name
    ending: Ending = "success"
    begin(root, name, PIPELINE)
    try:
        yield run
    except GeneratorExit:  # the generator was closed before the block ended
        ending = "unknown"
        raise
    except BaseException as error:
        if not isinstance(error, SystemExit) or error.code not in (None, 0):
            ending = "failed"
        raise
    finally:
        end(root, name, ending, PIPELINE)
        started_runs.let_go(run)


def _absolute(base: str | os.PathLike[str]) -> Path:
    text = os.fspath(base)
    if not text or "\0" in text:
        raise InvalidSettings(f"base: expected the path of a directory, got {text!r}")
    path = absolute(users_path(text))
    # A program that cron starts did not choose `/` or a home directory.
    return Path(project_root()).parent if text == os.curdir and is_nobodys(path) else path


# -- cleaning ---------------------------------------------------------------------------------


class ArtifactCleaner:
    """Cleans the runs in `base_path` by `config`, each time `cleanup` is called.

    A `CleanupConfig` replaces all settings. Without one, the settings of the project around the
    base apply, with the strategy moderate if they have no limit. A path replaces the
    `cleanup_config.json` of that project. Unless a setting says otherwise, runs are archived in
    `archived_pipeline_runs` beside them. Raises `InvalidSettings` for a base that is not a path.
    """

    def __init__(self, base_path: str | os.PathLike[str], config: Config = None) -> None:
        self.base_path = _absolute(base_path)
        self.config = config

    def cleanup(self, force: bool = False) -> dict[str, Any]:
        """Clean the runs once, and return what was done; `force` overrides a configured dry run.

        `directories_found` counts all runs, `candidates_identified` those that the policy removes,
        `directories_archived` and `directories_deleted` those that are gone. `space_freed_bytes`
        is measured: 0 for runs archived on the same disk. `space_archived_bytes` is the size of
        the archived runs in the archive. `errors` has a line for each run or archive that failed,
        or for what prevented the cleanup; disk and settings errors are not raised. If less than
        `min_free_space_gb` is free afterwards, a logged warning says what takes the space.
        """
        return self._cleanup(force=force)

    def _cleanup(
        self,
        *,
        force: bool = False,
        strategy: str | None = None,
        keep: Keep = None,
    ) -> dict[str, Any]:
        try:
            settings = settings_for(self.base_path, self.config, strategy)
            report = sweep(self.base_path, settings, force=force, keep=keep)
        except (TempError, OSError) as error:
            return statistics(None, [str(error)])
        for line in shortfall_lines(str(self.base_path), report.shortfall, "free"):
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
        return statistics(report, failed + unseen)

    def find_artifact_directories(self) -> list[Path]:
        """Return the runs in the base, newest first. Raises `StorageError` or `Refused`."""
        from .store.scanning.scan import scan

        check_base(self.base_path)
        need = Need(inside=False)
        found = scan(self.base_path, time.time(), layout=PIPELINE, need=lambda _: need).entries
        runs = sorted(found, key=lambda entry: (entry.arrived, entry.path), reverse=True)
        return [self.base_path / entry.path for entry in runs]

    def get_cleanup_candidates(self) -> list[Path]:
        """Return the runs that `cleanup` would remove now. Raises `TempError`."""
        settings = settings_for(self.base_path, self.config, None)
        plan = plan_for(self.base_path, settings)
        return [self.base_path / step.entry.path for step in plan.steps]

    def check_disk_space(self) -> bool:
        """Return whether there is as much free space as `min_free_space_gb` and the other disk
        limits require; true if there are none. Raises `InvalidSettings`.
        """
        policy = settings_for(self.base_path, self.config, None).policy
        free, capacity = space_of(self.base_path)
        wanted = policy.wanted_free(free, capacity)
        return wanted is None or free is None or free >= wanted

    def save_config(self, config_path: str | os.PathLike[str] = CONFIG_JSON) -> None:
        """Write `config` to a file; see `pipeline_config.save_config`.

        If `config` is a path, that file's settings are written; if it is `None`, the defaults.
        """
        config = self.config
        if config is None:
            config = CleanupConfig()
        save_config(
            config if isinstance(config, CleanupConfig) else load_config(config), config_path
        )

    def load_config(self, config_path: str | os.PathLike[str] = CONFIG_JSON) -> CleanupConfig:
        """Read `config` from a file, for every `cleanup` from now on, and return it.

        Raises `InvalidSettings`, and then leaves `config` unchanged.
        """
        self.config = load_config(config_path)
        return self.config


def cleanup_after_pipeline_run(
    pipeline_name: str = "pipeline",
    keep_current: bool = True,
    strategy: CleanupStrategy = CleanupStrategy.MODERATE,
) -> dict[str, Any]:
    """Clean the runs beside the last one; return the same result as `ArtifactCleaner.cleanup`.

    The base is that of the last run started by this thread or task, else by this process, else
    the working directory. Runs in use stay. So does the last run, whichever process started it,
    unless `keep_current` is false: then this process gives up its lease and the limits decide,
    unless another thread started the run or its block belongs to another task.

    The limits of `strategy` replace the project's configured limits; its other settings apply.
    Runs are archived in `archived_pipeline_runs` in the base, unless the project sets `archive` or
    `archive_before_delete` to false, or another `archive_location`. The log uses `pipeline_name`.
    Disk and settings errors are not raised: they are in `errors`, and logged as warnings.
    """
    run = started_runs.last()
    try:
        cleaner = ArtifactCleaner(run.parent if run is not None else ".")
    except StorageError as error:
        done = statistics(None, [str(error)])
    else:
        keep: Keep = None
        if keep_current:
            keep = "newest" if run is None else run
        elif run is not None:
            started_runs.give_up(run)
        name = strategy.value if isinstance(strategy, CleanupStrategy) else strategy
        done = cleaner._cleanup(strategy=name, keep=keep)
    for problem in done["errors"]:
        _log.warning("cleaning after %s: %s", pipeline_name, problem)
    _log.info("cleaned after %s: %s", pipeline_name, done)
    return done


# -- the command ------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with one line, without the usage that argparse prints first."""
        self.exit(2, f"error: {plain(message)}\n")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Clean as the command line says, and exit.

    Exits with 0 (done, or nothing to do), 1 (some run failed), 2 (bad argument or setting) or 3
    (refused).
    """
    try:
        from invoke.exceptions import Exit
    except ModuleNotFoundError as error:
        from .needs import exit_without

        exit_without(error)
        raise

    from .ending import run_command

    parser = _Parser(
        prog=f"python3 -m {__spec__.name}",
        description="Clean the runs of a pipeline: directories pipeline_artifacts_YYYYMMDD_HHMMSS. "
        "Runs in use stay.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--strategy", help="aggressive, moderate (if nothing is configured), conservative, archive")
    add("--dry-run", action="store_true", help="show what would be cleaned and why; change nothing")
    add("--force", action="store_true", help="override a configured dry_run, or a file to write")
    add("--config", "--load-config", metavar="FILE", help="instead of cleanup_config.json")
    add("--save-config", metavar="FILE", help="write what the other flags say, and clean nothing")
    add("--base", metavar="DIR", help="the directory of the runs; default: the working directory")
    given = parser.parse_args(arguments)
    try:
        run_command(lambda: _command(given))
    except Exit as end:
        parser.exit(end.code, f"{end.message}\n" if end.message else None)
    parser.exit()


def _command(given: argparse.Namespace) -> int:
    from .commands.clean import clean_runs

    if given.strategy is not None:
        check_strategy(given.strategy, "--strategy")
    if given.save_config is not None:
        return _save(given)
    base = _absolute("." if given.base is None else given.base)
    # A missing base is a typing error, or its disk is not mounted.
    if not base.is_dir():
        raise InvalidSettings(f"--base: {base} is not a directory; give the directory of the runs")
    settings = settings_for(base, given.config, given.strategy)
    check_base(base)
    return clean_runs(base, settings, dry_run=given.dry_run, force=given.force)


def _save(given: argparse.Namespace) -> int:
    path = users_path(given.save_config)
    if os.path.lexists(path) and not given.force:
        raise Refused(f"{path} is there already; add --force to replace it")
    config = CleanupConfig() if given.config is None else load_config(given.config)
    if given.strategy is not None:
        config.strategy = CleanupStrategy(given.strategy)
    config.dry_run |= given.dry_run
    save_config(config, path)
    sys.stdout.write(f"wrote {plain(str(path))}\n")
    return 0


if __name__ == "__main__":
    main()
