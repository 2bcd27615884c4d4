"""The program that the setting `auto_clean` starts: a scheduled clean, if one is due."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from ..auto_clean import noted, put_off
from ..commands.clean_arguments import CleanArguments
from ..core.units import MINUTE
from ..errors import TempError
from ..store.project.project import absolute, root_of
from ..store.settings.loading import load
from ..store.system.locks import lock_file
from .run import run

_LONGEST_NOTE: Final = 64


def main() -> None:
    """Clean the project in the working directory, if a clean is due.

    The result goes to the log of the root, as for a scheduled clean. Nothing is printed, even if it
    cannot clean.
    """
    # Inherited descriptors would keep the caller's leases and pipes open.
    os.closerange(3, os.sysconf("SC_OPEN_MAX") if hasattr(os, "sysconf") else 1024)
    project = absolute(None)
    try:
        every = load(project).auto_clean
        if every is None:
            return
        root = root_of(project)
        with noted(root) as note:
            if lock_file(note) and _begin_if_due(root, note, every * MINUTE):
                run(CleanArguments(scheduled=True), by_schedule=False)
    except (OSError, TempError):
        return  # already logged, if there is a log


def _begin_if_due(root: Path, note: int, every: float) -> bool:
    """Whether a clean is due. If so, record that it begins now, which sets when the next is due."""
    now, last = time.time(), _last(note)
    is_due = not 0 <= now - last < every
    if is_due:
        os.ftruncate(note, 0)
        os.write(note, b"%.0f\n" % now)
    put_off(root, (now if is_due else last) + every)
    return is_due


def _last(note: int) -> float:
    """When the last clean began; 0.0 if unknown."""
    try:
        return float(os.read(note, _LONGEST_NOTE))
    except ValueError:
        return 0.0
    finally:
        os.lseek(note, 0, os.SEEK_SET)
