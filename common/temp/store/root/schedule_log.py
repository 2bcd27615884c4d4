"""Reads the log of the scheduled cleans of a root, which `schedule` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...core.fields import Unreadable
from ...core.layouts import STORE
from ...core.scheduled import Scheduled, read_log
from ..system.opening import opened_in
from ..system.reading import read_file

NAME: Final = "schedule.log"
LOG: Final = f"{STORE}/{NAME}"
OLDER: Final = f"{NAME}.1"
"""The name that a long log is renamed to."""


def scheduled_cleans(root: Path) -> Scheduled | None:
    """The results of the scheduled cleans of `root`; `None` if there were none, or the log is
    unreadable.
    """
    parts = []
    try:
        with opened_in(root, STORE) as store:
            for name in (OLDER, NAME):
                try:
                    parts.append(read_file(name, dir_fd=store))
                except FileNotFoundError:
                    continue
    except (OSError, Unreadable):
        return None
    return read_log(b"\n".join(parts).decode(errors="replace")) if parts else None
