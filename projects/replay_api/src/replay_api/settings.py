"""The settings, from environment variables `REPLAY_API_…`."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .errors import ReplayError

PREFIX = "REPLAY_API_"


class Settings(NamedTuple):
    """The directory of jobs, and limits; sizes are in bytes.

    `idle_seconds` is how long an upload may be silent, `compute_seconds` how long one computation
    may take, `retention_seconds` how long results wait to be fetched, and `grace_seconds` how long
    a shutdown waits for open requests.
    """

    storage_root: Path = Path("var/jobs")
    max_log_bytes: int = 256 << 20
    max_video_bytes: int = 2 << 30
    max_calibration_bytes: int = 64 << 10
    max_jobs: int = 256
    workers: int = os.cpu_count() or 1
    idle_seconds: float = 30.0
    compute_seconds: float = 120.0
    retention_seconds: float = 600.0
    grace_seconds: int = 5


def load(environment: Mapping[str, str]) -> Settings:
    """The settings. Raises `ReplayError` with the name of a variable that cannot be used."""
    names = {f"{PREFIX}{name.upper()}": name for name in Settings._fields}
    said: dict[str, Path | float] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX):
            continue
        if variable not in names:
            raise ReplayError(f"{variable} is not a setting; expected one of {', '.join(names)}")
        name = names[variable]
        said[name] = _value(variable, text, Settings._field_defaults[name])
    return Settings(**said)  # type: ignore[arg-type]


def _value(variable: str, text: str, default: object) -> Path | float:
    if isinstance(default, Path):
        if not text:
            raise ReplayError(f"{variable} is empty; give the path of a directory")
        return Path(text)
    try:
        value = int(text) if isinstance(default, int) else float(text)
    except ValueError:
        value = 0
    if not (0 < value < math.inf):
        kind = "whole number" if isinstance(default, int) else "number"
        raise ReplayError(f"{variable}: expected a {kind} above 0, got {text!r}")
    return value
