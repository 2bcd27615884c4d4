"""Setting one entry aside in its root by a rename, so that the removal can be undone."""

from __future__ import annotations

import errno
from pathlib import Path

from ...core.layouts import UNDO
from ...core.plan import Step
from ...errors import StorageError
from ..project.store_guard import check_store
from ..project.store_parts import make_parts
from .moving import Move
from .undo import undo_area


class SetAside(Move):
    """One entry on its way into the undo area of its root, restorable for `undo_for` seconds."""

    is_done = "set aside"
    instead = "clean without --undoable"

    def __init__(self, root: Path, step: Step, now: float, undo_for: float) -> None:
        super().__init__(undo_area(root), root, step, now, undo_for=undo_for)

    def move(self) -> None:
        """Move the entry there by one rename, and keep it."""
        with self._failing():
            check_store(self.root)
            make_parts(self.root, UNDO)
            if not (self._shares_disk() and self._renamed()):
                raise StorageError(
                    errno.EXDEV, "it, or its category, is mounted from another filesystem"
                )
