"""The roots that a command works on, each with its settings and the name that people know."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ..core.entry import Problem
from ..core.layout import PIPELINE, SCRATCH, Layout
from ..core.retention import Policy
from ..errors import TempError
from ..store.allocation import layout_of
from ..store.listing import find_entry
from ..store.project import find_monorepo, find_project, monorepo_projects, root_of, user_root
from ..store.settings import Settings, load, with_limits_of, workspace_globs

USER_TITLE: Final = "auto-cleanup entries of this user"
OLD_ROOT: Final = ".temp"
DRY_RUN_OVERRIDE: Final = "TEMPKEEP_DRY_RUN=false in the environment overrides it"


class Place(NamedTuple):
    """A root with its settings, under the `title` by which people know it."""

    title: str
    root: Path
    settings: Settings
    abandoned_only: bool = False
    is_configured: bool = False
    """Whether it is one of the `roots` in the settings."""

    def layout(self) -> Layout:
        """How its entries lie. Raises `StorageError` or `Refused` if that cannot be told."""
        # One that nobody has made a root of is taken for what touches least.
        return layout_of(self.root, PIPELINE) if self.is_configured else SCRATCH

    @property
    def is_extra(self) -> bool:
        """Whether nobody asked for it by name, so that it is not worth a line when it is empty."""
        return self.abandoned_only or self.root.name == OLD_ROOT

    @property
    def archive(self) -> Path | None:
        """Where its entries are archived, if they are."""
        return None if self.abandoned_only else self.settings.archive_path()

    def policy(self) -> Policy:
        """What a bare `temp-clean` follows here."""
        if self.abandoned_only:
            return Policy(abandoned=True)
        configured = self.settings.policy()
        if configured.has_limit:
            return configured
        return with_limits_of(configured, Policy(everything=True))

    def problem(self, error: TempError) -> Problem:
        """A root that cannot be read or trusted, as one problem among others: they go on."""
        return Problem(self.root.name, str(error))


def find_places(all_projects: bool) -> list[Place]:
    """The roots of this project or of `all_projects`, and the user's own.

    Raises `InvalidSettings` for whatever is wrong in any of the settings.
    """
    project = find_project()
    settings = load(project)
    if not all_projects:
        found = [*_places_of(project.name, settings)]
    else:
        monorepo = find_monorepo(project)
        globs, excluded = workspace_globs(monorepo, load(monorepo))
        found = [
            place
            for path in monorepo_projects(monorepo, globs, excluded)
            for place in _places_of(
                monorepo.name if path == monorepo else path.relative_to(monorepo).as_posix(),
                load(path),
            )
        ]
    return [*found, Place(USER_TITLE, user_root(), settings, abandoned_only=True)]


def _places_of(title: str, settings: Settings) -> Iterator[Place]:
    """The root of one project, and those that it has configured."""
    yield Place(title, root_of(settings.project), settings)
    for root in settings.other_roots():
        below = os.path.relpath(root, settings.project)
        name = str(root) if below.startswith(os.pardir) else f"{title}/{below}"
        yield Place(name, root, settings, is_configured=True)


def find_place(path: str) -> tuple[Place, str]:
    """The place of the entry that a person means by `path`, and the entry's path in it."""
    settings = load(find_project())
    roots = settings.other_roots()
    root, relative = find_entry(path, Path.cwd(), roots)
    if root == user_root():
        return Place(USER_TITLE, root, settings, abandoned_only=True), relative
    if root in roots:
        return Place(root.name, root, settings, is_configured=True), relative
    return Place(root.parent.name, root, load(root.parent)), relative


def is_dry_run(places: Sequence[Place], force: bool, remedy: str, what: str = "cleaned") -> bool:
    """Whether the settings ask for a dry run; if so, a line says how to clean nevertheless."""
    asked = not force and any(place.settings.dry_run for place in places)
    if asked:
        print(f"dry_run is configured, so nothing is {what}; {remedy}", file=sys.stderr)
    return asked
