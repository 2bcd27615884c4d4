"""What the setting `auto_clean` starts: a scheduled clean, if one is due."""

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
    """Clean the project whose directory is the working directory, if that is due.

    The result is in the log of the root, as that of a scheduled clean. Ends without a word if there
    is nothing to do, or nothing can be done.
    """
    # What the caller has open it may have left to its children: a lease, or the end of a pipe.
    os.closerange(3, os.sysconf("SC_OPEN_MAX") if hasattr(os, "sysconf") else 1024)
    project = absolute(None)
    try:
        every = load(project).auto_clean
        if every is None:
            return
        root = root_of(project)
        with noted(root) as note:
            if lock_file(note) and _begins(root, note, every * MINUTE):
                run(CleanArguments(scheduled=True), by_schedule=False)
    except (OSError, TempError):
        return  # it has been logged if there is a log


def _begins(root: Path, note: int, every: float) -> bool:
    """Whether a clean is due, and so begins now; it is recorded, and when the next one is due."""
    now, last = time.time(), _last(note)
    is_due = not 0 <= now - last < every
    if is_due:
        os.ftruncate(note, 0)
        os.write(note, b"%.0f\n" % now)
    put_off(root, (now if is_due else last) + every)
    return is_due


def _last(note: int) -> float:
    """When the last one began; 0.0 if that is not known."""
    try:
        return float(os.read(note, _LONGEST_NOTE))
    except ValueError:
        return 0.0
    finally:
        os.lseek(note, 0, os.SEEK_SET)
