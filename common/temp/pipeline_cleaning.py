"""The cleaning of the runs in a base: settings, plan, sweep and statistics."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from .core.disposal import DISPOSALS
from .core.layouts import PIPELINE
from .core.plan import Plan, Report
from .core.policy import Policy
from .errors import InvalidSettings, Refused
from .pipeline_config import CleanupConfig, CleanupStrategy
from .report.text import plain
from .store.archive.archives import archive_of
from .store.project.project import find_project
from .store.settings.loading import load, naming, with_strategy
from .store.settings.recorded_layout import layout_of
from .store.settings.settings import Settings
from .store.settings.values import check_strategy
from .store.system.user_path import users_path

Config: TypeAlias = CleanupConfig | str | os.PathLike[str] | None
"""The settings, the path of a `cleanup_config.json`, or `None` for the project's own settings."""

Keep: TypeAlias = Path | Literal["newest"] | None
"""The run that a clean always keeps: this path, or the newest, whichever process started it."""


def settings_for(base: Path, config: Config, strategy: str | None) -> Settings:
    """Return the settings for runs in `base`; `strategy` overrides them. Raises `InvalidSettings`.

    Runs are archived unless a setting says otherwise.
    """
    if isinstance(config, CleanupConfig):
        settings = config.settings(base)
    else:
        file = None if config is None else users_path(config)
        named_by = naming(base)
        project = find_project(base) if named_by is None else named_by.project
        settings = load(project, config=file, archive=True)
    policy = settings.policy.of(PIPELINE.category)
    if strategy is None and not policy._replace(categories=()).has_limit:
        strategy = CleanupStrategy.MODERATE.value
    if strategy is not None:
        settings = with_strategy(settings, check_strategy(strategy, "strategy"))
    if DISPOSALS[settings.disposal].needs_archive and archive_of(settings, base).is_at(str(base)):
        raise InvalidSettings(
            f"archive_location: expected another directory than that of the runs, got {base}"
        )
    return settings


def plan_for(base: Path, settings: Settings, keep: Keep = None) -> Plan:
    """Return the plan for cleaning the runs in `base`. Raises `StorageError` or `Refused`.

    The run to `keep` is excluded by name instead of leased: a full disk may have no room for a
    lease.
    """
    from .store.sweep.prepare import prepare

    check_base(base)
    return prepare(
        base,
        _keeping(keep, settings.policy_in(base)),
        time.time(),
        layout=PIPELINE,
        disposal=settings.disposal,
        archive=archive_of(settings, base),
        sizes=False,
        workers=settings.workers,
    )


def sweep(base: Path, settings: Settings, *, force: bool, keep: Keep) -> Report:
    """Clean the runs in `base` and return the report; for a dry run, it has no outcomes."""
    from .store.sweep.sweep import execute

    plan = plan_for(base, settings, keep)
    if settings.dry_run and not force:
        return Report(plan, problems=plan.problems)
    return execute(
        plan,
        archive=archive_of(settings, base),
        archive_format=settings.archive_format,
        workers=settings.workers,
        face="ArtifactCleaner",
    )


def check_base(base: Path) -> None:
    """Raise `Refused` if `base` holds something other than runs."""
    said = layout_of(base, is_scratch=False)
    if said is not PIPELINE:
        raise Refused(f"{base} holds {said.name}, not {PIPELINE.name}; choose another directory")


def statistics(report: Report | None, errors: Sequence[str]) -> dict[str, Any]:
    """Return the result of a clean; without a `report`, the `errors` prevented it."""
    plan = report.plan if report is not None else None
    done = report.done if report is not None else ()
    went = [outcome.step.disposal for outcome in done if not outcome.stays]
    return {
        "directories_found": len(plan.steps) + len(plan.kept) if plan is not None else 0,
        "candidates_identified": len(plan.steps) if plan is not None else 0,
        "directories_archived": went.count("archive"),
        "directories_deleted": went.count("delete"),
        "space_freed_bytes": report.freed_bytes if report is not None else 0,
        "space_archived_bytes": report.archived_bytes if report is not None else 0,
        "errors": [plain(error) for error in errors],
    }


def _keeping(keep: Keep, policy: Policy) -> Policy:
    categories = tuple((category, _keeping(keep, own)) for category, own in policy.categories)
    policy = policy._replace(categories=categories)
    if isinstance(keep, Path):
        return policy._replace(exclude=(*policy.exclude, keep.name))
    return policy if keep is None else policy._replace(keep_last=max(policy.keep_last or 0, 1))
