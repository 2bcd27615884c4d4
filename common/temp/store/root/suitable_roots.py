"""Whether a directory can be a root in which everything is an entry."""

from __future__ import annotations

import os
from pathlib import Path

from ...core.layouts import STORE
from ..project.project import MARKERS, SYSTEM_TEMPS, is_everybodys, unowned


def holds_more(directory: Path) -> bool:
    """Whether `directory` probably holds more than entries: a project, a home directory, one of the
    system's temporary directories, or another directory that everyone can write to. The last is
    suitable if it is empty, like a new tmpfs, or if the superuser or this user made it a root.
    """
    real = Path(os.path.realpath(directory))
    return (
        real in unowned(real)
        or str(real) in SYSTEM_TEMPS
        or any(os.path.lexists(real / marker) for marker in MARKERS)
        or (is_everybodys(real) and not _is_new_or_ours(real))
    )


def _is_new_or_ours(directory: Path) -> bool:
    try:
        maker = os.lstat(directory / STORE).st_uid
    except FileNotFoundError:
        return not set(os.listdir(directory)) - {"lost+found"}
    return maker in (0, os.geteuid())
