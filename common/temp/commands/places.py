"""The roots that a command works on, each with its settings and its title."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..core.entry import Problem
from ..core.layouts import PIPELINE, SCRATCH, STORE, Layout
from ..core.named_tuple import NamedTuple
from ..core.policy import Policy
from ..core.units import DAY
from ..errors import InvalidSettings, TempError
from ..report.text import located
from ..store.project.place import homeless_projects, homeless_roots, standing_project
from ..store.project.project import (
    OLD_ROOT_NAME,
    find_monorepo,
    monorepo_projects,
    root_of,
    user_root,
    where_it_leads,
)
from ..store.settings.loading import load, workspace_globs
from ..store.settings.settings import Settings

if TYPE_CHECKING:
    from ..core.disposal import Disposal
    from ..store.archive.archives import Archive
    from ..store.root.find_entry import Choose

USER_TITLE: Final = "auto-cleanup entries of this user"
HOMELESS_TITLE: Final = "scratch of no project"
DRY_RUN_OVERRIDE: Final = "TEMPKEEP_DRY_RUN=false in the environment overrides it"

_ELSEWHERE: Final = Policy(max_age=7 * DAY)
"""The policy for scratch of no project when a project is cleaned, unless one is configured."""


_NOTHING_CONFIGURED: Final = Policy(everything=True, unconfigured=True)


class Place(NamedTuple):
    """A root with its settings, and the `title` by which it is shown."""

    title: str
    root: Path
    settings: Settings
    abandoned_only: bool = False
    is_configured: bool = False
    """Whether it is one of the `roots` in the settings."""
    is_elsewhere: bool = False
    """Whether it holds scratch of no project, seen from inside a project."""

    def layout(self) -> Layout:
        """The layout of its entries. Raises `StorageError` or `Refused` if it cannot be read."""
        if not self.is_configured:
            return SCRATCH
        from ..store.settings.recorded_layout import layout_of  # most projects have no other roots

        return layout_of(self.root, is_scratch=False)

    def leads_to(self) -> Path | None:
        """Return where its data really is, if the root is behind a symlink."""
        return where_it_leads(self.root)

    def located(self) -> str:
        """Return its location as shown to the user."""
        where = located(self.root, self.leads_to())
        return f"{where}, which does not exist yet" if self.is_to_come() else where

    def is_to_come(self) -> bool:
        """Return whether the settings name it, but it does not exist yet."""
        return self.is_configured and not os.path.lexists(self.root)

    @property
    def is_extra(self) -> bool:
        """Whether it was not requested explicitly, so that it is left out when empty."""
        return self.abandoned_only or self.is_elsewhere or self.root.name == OLD_ROOT_NAME

    @property
    def archive(self) -> Archive | None:
        """Where its entries are archived, if they are. Raises the errors of `layout`."""
        if self.abandoned_only:
            return None
        from ..store.archive.archives import archive_of

        has_runs = self.is_configured and self.layout() is PIPELINE
        return archive_of(self.settings, self.root if has_runs else None)

    def policy(self) -> Policy:
        """Return the policy of a `temp-clean` without arguments."""
        if self.abandoned_only:
            return Policy(abandoned=True)
        configured = self.settings.policy_in(self.root)
        if configured.has_limit:
            return configured
        # Cleaning one project must not remove what programs made elsewhere a moment ago.
        limits = _ELSEWHERE if self.is_elsewhere else _NOTHING_CONFIGURED
        return configured.with_limits_of(limits)

    @property
    def disposal(self) -> Disposal:
        """The disposal of a `temp-clean` without arguments; abandoned entries are deleted."""
        return "delete" if self.abandoned_only else self.settings.disposal

    def problem(self, error: TempError) -> Problem:
        """Return the problem for a root that cannot be read or trusted; other roots continue."""
        return Problem(self.root.name, str(error))


def find_places(
    all_projects: bool, unusable: list[tuple[str, Problem]] | None = None
) -> list[Place]:
    """Return the roots of this project or of `all_projects`, of no project, and the user's own.

    Raises `InvalidSettings` for an error in any of the settings. With a list `unusable`, errors in
    the settings of other projects are added to it instead.
    """
    project = standing_project()
    settings = load(project)
    if project in homeless_projects():
        found = [*_homeless_places(settings), *_earlier_places()]
    elif not all_projects:
        found = [*_places_of(project.name, settings)]
    else:
        found = _all_places(project, unusable)
    found += _places_elsewhere({os.path.realpath(place.root) for place in found})
    return [*found, Place(USER_TITLE, user_root(), settings, abandoned_only=True)]


def _all_places(project: Path, unusable: list[tuple[str, Problem]] | None) -> list[Place]:
    """Return the roots of all projects of the monorepo around `project`; see `find_places`."""
    monorepo = find_monorepo(project)
    globs, excluded = workspace_globs(monorepo, load(monorepo))
    found: list[Place] = []
    projects = monorepo_projects(monorepo, globs, excluded)
    if project not in projects:  # no glob matches it, but it is the current one
        projects.append(project)
    for path in projects:
        top = path == monorepo
        title = monorepo.name if top else path.relative_to(monorepo).as_posix()
        try:
            found += _places_of(title, load(path, monorepo=monorepo))
        except InvalidSettings as error:
            if unusable is None or top or path == project:
                raise
            unusable.append((title, Problem(root_of(path).name, str(error))))
    return found


def _places_elsewhere(known: set[str]) -> list[Place]:
    """Return the roots with scratch of no project, except those whose real paths are `known`."""
    return [
        place._replace(is_elsewhere=True)
        for root in homeless_roots()
        for place in _homeless_places(load(root.parent))
        if os.path.realpath(place.root) not in known
    ]


def _homeless_places(settings: Settings) -> Iterator[Place]:
    """Yield the root of scratch of no project, and the pipeline runs beside it."""
    yield from _places_of(HOMELESS_TITLE, settings)
    if (settings.project / STORE).is_dir():
        yield Place(f"{HOMELESS_TITLE}/runs", settings.project, settings, is_configured=True)


def _earlier_places() -> Iterator[Place]:
    """Yield an earlier version's root in the working directory, `/` or a home directory.

    Only if it certainly is a root and belongs to the user, since other users can write to `/tmp`.
    For the same reason no settings are read there.
    """
    here = Path.cwd()
    root = root_of(here)
    try:
        status = os.stat(root, follow_symlinks=False)
        mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    except OSError:
        return
    if mine and (root / STORE).is_dir():
        yield Place(str(here), root, Settings(project=here))


def _places_of(title: str, settings: Settings) -> Iterator[Place]:
    """Yield the root of one project, and its configured roots."""
    yield Place(title, root_of(settings.project), settings)
    for root in settings.other_roots():
        below = os.path.relpath(root, settings.project)
        name = str(root) if below.startswith(os.pardir) else f"{title}/{below}"
        yield Place(name, root, settings, is_configured=True)


def find_place(path: str, choose: Choose) -> tuple[Place, str]:
    """Return the place of the entry that `path` names, and its path there; see `find_entry`."""
    from ..store.root.find_entry import find_entry  # a status does not need it

    settings = load(standing_project())
    roots = settings.other_roots()
    root, relative = find_entry(path, root_of(settings.project), roots, homeless_roots(), choose)
    if root == user_root():
        return Place(USER_TITLE, root, settings, abandoned_only=True), relative
    if root.parent in homeless_projects():
        place = Place(HOMELESS_TITLE, root, load(root.parent))
        return place._replace(is_elsewhere=root.parent != settings.project), relative
    if root in roots:
        return Place(root.name, root, settings, is_configured=True), relative
    return Place(root.parent.name, root, load(root.parent)), relative


def is_dry_run(places: Sequence[Place], force: bool, remedy: str, what: str = "cleaned") -> bool:
    """Return whether the settings ask for a dry run; if so, print how to override that."""
    asked = not force and any(place.settings.dry_run for place in places)
    if asked:
        print(f"dry_run is configured, so nothing is {what}; {remedy}", file=sys.stderr)
    return asked
