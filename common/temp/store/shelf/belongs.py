"""Finding where archived entries belong in a root."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ...core.layouts import LAYOUTS, PIPELINE, SCRATCH, STORE, Layout
from ...errors import Refused
from ..project.project import SCRATCH_NAMES, root_of
from ..settings.recorded_layout import layout_of
from .listing import Archived


class Place(NamedTuple):
    """The place in a root where an archived entry belongs."""

    root: Path
    path: str
    layout: Layout

    @property
    def full(self) -> Path:
        """Its absolute path."""
        return self.root / self.path


def place_of(archived: Archived, project: Path, own: Path | None = None) -> Place:
    """The place where `archived` belongs. Raises `Refused` if that is not a place for an entry.

    Its manifest says where. Without one, its name does, and it belongs to the current `project`. An
    entry that was set aside belongs to its `own` root, which contains the undo area.
    """
    manifest, root = archived.manifest, archived.root
    if manifest is None or root is None:
        if own is not None:
            raise Refused(f"{archived.name} has no manifest; look at it, and move it by hand")
        if PIPELINE.holds(archived.data, is_directory=True):
            raise Refused(
                f"{archived.name} has no manifest that says where it was; move it back by hand: "
                f"{archived.where}"
            )
        category, underscores, name = archived.data.partition("__")
        path = f"{category}/{name}" if category and underscores and name else archived.data
        return Place(root_of(project), _checked(path, SCRATCH, archived), SCRATCH)
    layout = LAYOUTS.get(manifest.layout)
    if own is not None:
        if os.path.realpath(root) != os.path.realpath(own) or layout is not _layout_of(own, layout):
            raise Refused(
                f"{archived.name}: its manifest names {manifest.layout} in {root}, and not "
                f"{own}, where it was set aside; look at it, and move it by hand"
            )
        root = own
    if layout is None:
        raise Refused(
            f"{archived.name}: {manifest.layout!r} is not a known layout; update tempkeep"
        )
    # A forged manifest could name any directory.
    if root.name not in SCRATCH_NAMES and not (root / STORE).is_dir():
        raise Refused(
            f"{archived.name} was in {root}, which is no longer a root; make one there by using it"
        )
    return Place(root, _checked(manifest.path, layout, archived), layout)


def _layout_of(root: Path, layout: Layout | None) -> Layout | None:
    """The layout of `root`; if its store does not record one, `layout` is accepted."""
    return layout_of(root, is_scratch=None if layout is PIPELINE else True)


def _checked(path: str, layout: Layout, archived: Archived) -> str:
    """`path`, if a root with that layout may have an entry there. Raises `Refused`."""
    if not layout.may_hold(path):
        raise Refused(f"{archived.name} was at {path!r}, which is not a place for an entry")
    return path
