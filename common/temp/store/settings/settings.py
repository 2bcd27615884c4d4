"""The settings of one project, as values.

`keys` defines the keys that set them, and `loading` reads the files and the environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...core.layouts import RUNS_ARCHIVE, is_inside
from ...core.named_tuple import NamedTuple
from ...core.policy import Policy
from ...core.units import DAY

if TYPE_CHECKING:
    from ...core.archive_limits import ArchiveLimits
    from ...core.disposal import Disposal
    from ..system.archive_formats import ArchiveFormat

DEFAULT_ARTEFACTS: Final = (
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    "build/",
    "dist/",
    "*.egg-info",
    ".coverage",
    "htmlcov/",
)


OBJECT_STORES: Final = ("s3", "gs", "az")
"""The schemes of object stores."""

SCHEMES: Final = ("", *OBJECT_STORES)
"""The schemes that `archive_location` may have; a path has none. See `KINDS` of the archive."""


def scheme_of(location: str) -> str:
    """The scheme of a URL, such as `s3`; "" for a path, even one with a drive letter."""
    scheme, slashes, _ = location.partition("://")
    is_one = slashes and len(scheme) > 1 and scheme.isascii() and scheme.isalnum()
    return scheme.lower() if is_one else ""


class Settings(NamedTuple):
    """The configuration of one project; durations in seconds.

    The `policy` has only the configured limits. `roots` are directories of jobs, files or pipeline
    runs, in addition to the project's own root. `workers` is how many processes may scan and
    delete; with 0 or `None`, as many as make it faster.
    """

    project: Path
    policy: Policy = Policy()
    strategy: str | None = None
    dry_run: bool = False
    require_policy: bool = False
    archive: bool = False
    archive_location: str | None = None
    archive_format: ArchiveFormat = "dir"
    archive_keep: float | None = None
    archive_max_size: int | None = None
    undo_for: float = DAY
    roots: tuple[str, ...] = ()
    projects: tuple[str, ...] = ("projects/*",)
    artefacts: tuple[str, ...] = DEFAULT_ARTEFACTS
    presets: tuple[str, ...] = ()
    workers: int | None = None
    auto_clean: int | None = None
    """In minutes."""
    on_failure: tuple[str, ...] | None = None
    on_success: tuple[str, ...] | None = None
    metrics_file: str | None = None

    @property
    def disposal(self) -> Disposal:
        """What happens to the entries that a clean removes."""
        return "archive" if self.archive else "delete"

    @property
    def archive_limits(self) -> ArchiveLimits:
        """The limits of the archive."""
        from ...core.archive_limits import ArchiveLimits  # only archives need it

        return ArchiveLimits(self.archive_keep, self.archive_max_size)

    def policy_in(self, root: str | Path) -> Policy:
        """The policy, with each glob of `exclude` for a path in the project or in what is around
        it (a monorepo), or an absolute one, as one for a path in `root` too.
        """
        tops = {os.path.abspath(root), os.path.realpath(root)}
        around = (self.project, *self.project.parents)

        def added(exclude: tuple[str, ...]) -> tuple[str, ...]:
            globs = map(os.path.expanduser, filter(None, exclude))
            paths = [os.path.normpath(above / glob) for glob in globs for above in around]
            inside = [(path, top) for path in paths for top in tops if is_inside(path, top)]
            below = ("*" if path == top else os.path.relpath(path, top) for path, top in inside)
            return tuple(dict.fromkeys((*exclude, *below)))

        policy = self.policy
        own = [
            (name, of_it._replace(exclude=added(of_it.exclude)))
            for name, of_it in policy.categories
        ]
        return policy._replace(exclude=added(policy.exclude), categories=tuple(own))

    def other_roots(self) -> tuple[Path, ...]:
        """The absolute directories of `roots`, without duplicates."""
        paths = (self.project / os.path.expanduser(root) for root in self.roots)
        return tuple(dict.fromkeys(Path(os.path.abspath(path)) for path in paths))

    def archive_path(self, runs: Path | None = None) -> Path | None:
        """The absolute directory of the archive; `None` if the archive is not a directory.

        The default is `.tmp-archive` in the project, and for the `runs` of a pipeline
        `archived_pipeline_runs` beside them.
        """
        if self.archive_location is None and runs is not None:
            return runs / RUNS_ARCHIVE
        location = self.archive_location or ".tmp-archive"
        return None if scheme_of(location) else self.project / os.path.expanduser(location)
