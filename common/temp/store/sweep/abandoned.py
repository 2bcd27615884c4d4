"""Cleans up the auto-cleanup entries left by killed processes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from ...core.plan import Report
from ...core.policy import Policy
from ...errors import TempError
from ..project.project import user_root
from ..root.arrivals import is_remainder
from .prepare import prepare
from .sweep import execute

ABANDONED: Final = Policy(abandoned=True)
"""The policy for auto-cleanup entries: remove them once their process is dead, whatever the limits.
"""

MANAGER: Final = "TempManager"
"""The face that makes such entries; the history names it as the cleaner."""

_log = logging.getLogger(__name__)


def clean_abandoned(now: float, root: Path | None = None) -> Report | None:
    """Clean the auto-cleanup entries that killed processes of this user left. Returns the report.

    The entries are in `root`, by default the one in the system's temporary directory. Files kept by
    `keep_files` stay. Returns `None` if cleaning fails, which is logged as a warning.
    """
    root = root or user_root()
    try:
        plan = prepare(root, ABANDONED, now, sizes=False)
        steps = (step for step in plan.steps if not is_remainder(root, step.entry.path))
        return execute(plan._replace(steps=tuple(steps)), face=MANAGER)
    except TempError as error:
        _log.warning("cannot clean %s: %s", root, error)
        return None
