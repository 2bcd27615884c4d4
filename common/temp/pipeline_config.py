"""The settings of `cleanup_config.json`, by which pipeline runs are cleaned, as a value."""

from __future__ import annotations

import json
import os
from dataclasses import KW_ONLY, asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from .core.layouts import RUNS_ARCHIVE
from .store.project.output_file import write_named
from .store.settings.loading import check_config, of_config
from .store.settings.settings import Settings
from .store.settings.sources import read_config
from .store.system.user_path import users_path


class CleanupStrategy(Enum):
    """The strategies, by their names in settings."""

    AGGRESSIVE = "aggressive"
    MODERATE = "moderate"
    CONSERVATIVE = "conservative"
    ARCHIVE = "archive"


@dataclass(slots=True)
class CleanupConfig:
    """The settings of `cleanup_config.json` as a value; `None` leaves a field to the strategy.

    `exclude_patterns` are shell globs for whole names, such as `*_20250917_*`; one without a
    wildcard, such as `20250917`, matches each run whose name contains it. `keep_files` are globs of
    files that stay when their run goes. Both are copied to new lists. `max_age`, `keep_within`,
    `foreign_for` and `archive_keep` are durations with a unit, such as `7d`; they cannot be
    combined with the fields that have the unit in their name. A relative `archive_location` is
    relative to the base; with the strategy `ARCHIVE`, runs are always archived. Without a strategy
    (`None`), only the given limits apply. Fields may be changed at any time; the next clean uses
    the new values.

    Raises `InvalidSettings` for a value that is invalid in the file; an invalid value that is set
    later is an error of the clean.
    """

    strategy: CleanupStrategy | None = CleanupStrategy.MODERATE
    max_age_days: float | None = None
    max_runs_to_keep: int | None = None
    archive_before_delete: bool = True
    archive_location: str | os.PathLike[str] = RUNS_ARCHIVE
    dry_run: bool = False
    exclude_patterns: list[str] = field(default_factory=list)
    min_free_space_gb: float | None = None
    _: KW_ONLY
    archive_format: str = "dir"
    keep_files: list[str] = field(default_factory=list)
    keep_last: int | None = None
    keep_last_good: int | None = None
    keep_within_hours: float | None = None
    foreign_hours: float | None = None
    max_age: str | None = None
    keep_within: str | None = None
    foreign_for: str | None = None
    archive_keep: str | None = None
    archive_max_size: int | str | None = None

    def __post_init__(self) -> None:
        for name in ("exclude_patterns", "keep_files"):
            given = getattr(self, name)
            if given is None or isinstance(given, (list, tuple)):
                setattr(self, name, [*(given or ())])
        if self.archive_location is None:
            self.archive_location = RUNS_ARCHIVE
        check_config(self._said(), type(self).__name__)
        if isinstance(self.strategy, str):
            self.strategy = CleanupStrategy(self.strategy)

    def settings(self, base: Path) -> Settings:
        """Return these settings for the runs in `base`, without those of its project."""
        return of_config(base, self._said(), type(self).__name__)

    def _said(self) -> dict[str, Any]:
        """Return the content of the file, with strings instead of enums and paths."""
        said = {key: value for key, value in asdict(self).items() if value is not None}
        for key, value in said.items():
            if isinstance(value, CleanupStrategy):
                said[key] = value.value
            elif isinstance(value, os.PathLike):
                said[key] = os.fspath(value)
            elif isinstance(value, tuple):
                said[key] = [*value]
        if said.get("strategy") == CleanupStrategy.ARCHIVE.value:
            # In a file, false for this key would make the strategy `archive` delete.
            said.pop("archive_before_delete", None)
        return said


def load_config(config_path: str | os.PathLike[str]) -> CleanupConfig:
    """Return the settings of a `cleanup_config.json`; raises `InvalidSettings` with file and key.

    A file without a strategy gives none, so that only limits set in the file apply.
    """
    path = users_path(config_path)
    said = read_config(path)
    check_config(said, str(path))
    given = {key: value for key, value in said.items() if value is not None}
    return CleanupConfig(**{"strategy": None, **given})


def save_config(config: CleanupConfig, config_path: str | os.PathLike[str]) -> None:
    """Write the settings to a `cleanup_config.json` atomically, replacing an existing one.

    Raises `InvalidSettings`, `Refused` or `StorageError`.
    """
    said = config._said()
    check_config(said, type(config).__name__)
    write_named(Path(config_path), json.dumps(said, indent=2) + "\n")
