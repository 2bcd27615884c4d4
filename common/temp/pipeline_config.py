"""What a pipeline's runs are cleaned by, as a value: the settings of `cleanup_config.json`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from .store.root.loading import check_config, of_config
from .store.root.settings import Settings


class CleanupStrategy(Enum):
    """The strategies, by their names in settings."""

    AGGRESSIVE = "aggressive"
    MODERATE = "moderate"
    CONSERVATIVE = "conservative"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class CleanupConfig:
    """The settings of `cleanup_config.json` as a value; `None` leaves it to the strategy.

    `exclude_patterns` are shell globs for whole names, such as `*_20250917_*`; one without a
    wildcard, such as `20250917`, matches each run whose name contains it. `keep_files` are globs of
    files that stay when their run goes. `max_age`, `keep_within` and `foreign_for` are times with a
    unit, such as `7d`, and exclude the fields with the unit in their name. A relative
    `archive_location` is relative to the base. Raises `InvalidSettings` for a value that the file
    could not have.
    """

    strategy: CleanupStrategy = CleanupStrategy.MODERATE
    max_age_days: float | None = None
    max_runs_to_keep: int | None = None
    archive_before_delete: bool = False
    archive_location: str | os.PathLike[str] | None = None
    archive_format: str = "dir"
    dry_run: bool = False
    exclude_patterns: Sequence[str] = ()
    keep_files: Sequence[str] = ()
    keep_last: int | None = None
    keep_last_good: int | None = None
    keep_within_hours: float | None = None
    min_free_space_gb: float | None = None
    foreign_hours: float | None = None
    max_age: str | None = None
    keep_within: str | None = None
    foreign_for: str | None = None

    def __post_init__(self) -> None:
        for field in ("exclude_patterns", "keep_files"):
            if isinstance(patterns := getattr(self, field), list):
                object.__setattr__(self, field, tuple(patterns))
        check_config(self._said(), type(self).__name__)

    def settings(self, base: Path) -> Settings:
        """These settings for the runs in `base`, whatever its project has configured."""
        return of_config(base, self._said(), type(self).__name__)

    def _said(self) -> dict[str, object]:
        """The content of the file, with strings and lists instead of enums, paths and tuples."""
        said = {key: value for key, value in asdict(self).items() if value is not None}
        for key, value in said.items():
            if isinstance(value, CleanupStrategy):
                said[key] = value.value
            elif isinstance(value, os.PathLike):
                said[key] = os.fspath(value)
            elif isinstance(value, tuple):
                said[key] = [*value]
        if self.archive_before_delete is False:
            # It is only the default here, but in a file it would make the archive strategy delete.
            del said["archive_before_delete"]
        return said
