"""Checks for settings that contradict each other: water marks, and nested roots and archives."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ...core.layouts import LAYOUT, STORE, is_inside
from ...core.units import spell_share
from ...errors import InvalidSettings, TempError
from ..project.project import OLD_ROOT_NAME, ROOT_NAME, SCRATCH_NAMES, root_of

if TYPE_CHECKING:
    from .settings import Settings


def check_clashes(settings: Settings) -> None:
    """Raise `InvalidSettings` if two of the settings contradict each other."""
    _check_marks(settings)
    _check_archive(settings)
    _check_roots(settings)
    _check_around_archive(settings)


def _check_marks(settings: Settings) -> None:
    high, low = settings.policy.high_water, settings.policy.low_water
    if low is None:
        return
    if high is None:
        raise _clash(settings, "low_water: needs a high_water above it; set both")
    if low >= high:
        raise _clash(
            settings,
            f"low_water: expected less than high_water, which is {spell_share(high)}, "
            f"got {spell_share(low)}",
        )


def _check_archive(settings: Settings) -> None:
    path = settings.archive_path()
    if path is None:
        return
    archive = os.path.realpath(path)
    if STORE in PurePath(archive).parts:
        raise _not_outside(settings, STORE)
    # In a root, the archive would be an entry, and would be archived into itself.
    for root in (root_of(settings.project), settings.project / OLD_ROOT_NAME):
        if settings.archive_location is not None and is_inside(archive, os.path.realpath(root)):
            raise _not_outside(settings, root)


def _check_roots(settings: Settings) -> None:
    roots = settings.other_roots()
    own = root_of(settings.project)
    for path in roots:
        real = os.path.realpath(path)
        if is_inside(real, os.path.realpath(own)):
            raise _clash(
                settings, f"roots: {path} lies in {own}, which is listed anyway; leave it out"
            )
        if not os.path.lexists(path):
            from ..project.misspelt_roots import why_misspelt

            if why := why_misspelt(path, settings.project, roots):
                raise _clash(settings, f"roots: {why}")
        others = [("roots", other) for other in roots if os.path.realpath(other) != real]
        if (archive := settings.archive_path()) is not None:
            others.append(("archive_location", archive))
        for key, inner in others:
            if _would_be_entry(inner, path):
                raise _clash(
                    settings,
                    f"{key}: {inner} lies in {path}, which is one of the roots, and would be "
                    "cleaned as one of its entries; choose another place",
                )


def _check_around_archive(settings: Settings) -> None:
    """Raise `InvalidSettings` if the archive is, or is in, a root of another project."""
    path = settings.archive_path()
    if path is None:
        return
    archive = Path(os.path.realpath(path))
    project = os.path.realpath(settings.project)
    # An archive behind a symlink has a store too, but no layout is recorded there.
    if archive.name in SCRATCH_NAMES or os.path.lexists(archive / STORE / LAYOUT):
        raise _not_outside(settings, archive)
    for above in archive.parents:
        if is_inside(project, str(above)):
            break  # the archive may be in any directory that contains the project
        is_root = above.name in (ROOT_NAME, OLD_ROOT_NAME) or os.path.isdir(above / STORE)
        if is_root and _would_be_entry(archive, above):
            raise _not_outside(settings, above)


def _would_be_entry(inner: Path, root: Path) -> bool:
    """Whether `inner` is `root` itself, or would be an entry of it or in one."""
    real, above = os.path.realpath(inner), os.path.realpath(root)
    if not is_inside(real, above):
        return False
    if real == above:
        return True
    from .recorded_layout import layout_of  # rarely needed: few roots or archives are nested

    name = os.path.relpath(real, above).split(os.sep)[0]
    try:
        return layout_of(root).holds(name, is_directory=True)
    except TempError:
        return False  # the sweep of that root reports this error


def _not_outside(settings: Settings, directory: str | Path) -> InvalidSettings:
    return _clash(
        settings,
        f"archive_location: expected a directory outside {directory}, "
        f"got {settings.archive_location!r}",
    )


def _clash(settings: Settings, what: str) -> InvalidSettings:
    return InvalidSettings(f"{settings.project}: {what}")
