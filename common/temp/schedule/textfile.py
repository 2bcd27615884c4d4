"""Writes the file of metrics after each scheduled clean: the setting `metrics_file`.

node_exporter reads it (`--collector.textfile.directory`) and passes it on to Prometheus.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from ..errors import TempError, reason_of
from ..report.text import plain
from ..store.project.project import check_way, root_of
from ..store.system.opening import opened_real
from ..store.system.own_files import replace_own
from .trusted_setting import setting_of

KEY: Final = "metrics_file"


def write_metrics(project: Path, *, by_schedule: bool) -> str:
    """Write the metrics of `project`, if that is set. Returns what went wrong, or ""."""
    try:
        said = setting_of(project, KEY)
        if said is None:
            return ""
        why = said.why_not_used(by_schedule=by_schedule)
        if not why:
            _write(project / os.path.expanduser(said.value), root_of(project))
    except OSError as error:
        why = str(error) if isinstance(error, TempError) else reason_of(error)
    except TempError as error:
        why = str(error)
    return f"{KEY} is not written: {why}" if why else ""


def _write(path: Path, root: Path) -> None:
    from ..commands.metrics import metrics_here

    text = metrics_here(time.time())
    begin = f"# Written by tempkeep after each scheduled clean of {plain(str(root))}\n"
    # Symlinks in the path are the user's own; a symlink in place of the file is not followed.
    above = check_way(path.parent)
    with opened_real(above) as directory:
        replace_own(path.name, begin, f"{text}\n", dir_fd=directory, place=str(above))
