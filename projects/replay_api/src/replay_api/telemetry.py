"""Telemetry as CSV: read, checked and completed, one sample at a time."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from .errors import BadInput

REQUIRED: Final = ("time_s", "lat_deg", "lon_deg", "alt_m")
OPTIONAL: Final = ("speed_mps", "climb_mps")
_RANGES: Final = {"lat_deg": 90.0, "lon_deg": 180.0}
_EARTH_RADIUS_M: Final = 6_371_008.8


class Sample(NamedTuple):
    """The position and movement of the aircraft, `time_s` seconds after the first sample.

    `distance_m` is the distance over ground since the sample before.
    """

    time_s: float
    lat_deg: float
    lon_deg: float
    alt_m: float
    speed_mps: float
    climb_mps: float
    distance_m: float


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples of a CSV file with a header, in order.

    It has the columns `time_s` (seconds since any moment, never decreasing), `lat_deg`, `lon_deg`
    and `alt_m`. `speed_mps` and `climb_mps` are computed if they are missing or empty; other
    columns are ignored. Raises `BadInput` with the number of a line that cannot be used, when it
    gets there, and for a file with fewer than two samples.
    """
    count = 0
    first = before = None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            columns = _columns(next(rows, []))
            for row in rows:
                if not row:
                    continue
                values = _values(row, columns, rows.line_num)
                first = values[0] if first is None else first
                sample = _sample(values, first, before, rows.line_num)
                yield sample
                before = sample
                count += 1
    except UnicodeDecodeError as error:
        raise BadInput(f"the CSV is not UTF-8 text ({error.reason}); export it as UTF-8") from None
    except csv.Error as error:
        raise BadInput(f"the CSV is damaged in line {rows.line_num}: {error}") from None
    if count < 2:
        raise BadInput(f"the CSV has {count} samples; a flight has two or more")


def distance_m(lat: float, lon: float, lat2: float, lon2: float) -> float:
    """The great-circle distance between two positions in degrees."""
    phi, phi2 = math.radians(lat), math.radians(lat2)
    half_lat, half_lon = (phi2 - phi) / 2, math.radians(lon2 - lon) / 2
    a = math.sin(half_lat) ** 2 + math.cos(phi) * math.cos(phi2) * math.sin(half_lon) ** 2
    return 2 * _EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(a)))


def _columns(header: Sequence[str]) -> dict[str, int]:
    names = [name.strip().lower() for name in header]
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise BadInput(
            f"the CSV has no column {', '.join(missing)}; its first line must name "
            f"{', '.join(REQUIRED)}"
        )
    return {name: names.index(name) for name in (*REQUIRED, *OPTIONAL) if name in names}


def _values(row: Sequence[str], columns: dict[str, int], line: int) -> list[float | None]:
    values: list[float | None] = []
    for name in (*REQUIRED, *OPTIONAL):
        place = columns.get(name)
        text = row[place].strip() if place is not None and place < len(row) else ""
        if not text and name in OPTIONAL:
            values.append(None)
            continue
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise BadInput(f"line {line} of the CSV: {name} is {text[:40]!r}, which is no number")
        most = _RANGES.get(name)
        if most is not None and abs(value) > most:
            raise BadInput(f"line {line} of the CSV: {name} is {value:g}, beyond ±{most:g}")
        values.append(value)
    return values


def _sample(
    values: Sequence[float | None], first: float | None, before: Sample | None, line: int
) -> Sample:
    time, lat, lon, alt, speed, climb = values
    assert time is not None
    assert first is not None
    assert lat is not None
    assert lon is not None
    assert alt is not None
    time -= first
    if before is None:
        return Sample(time, lat, lon, alt, speed or 0.0, climb or 0.0, 0.0)
    passed = time - before.time_s
    if passed < 0:
        raise BadInput(f"line {line} of the CSV: time_s goes back by {-passed:g} s; sort the lines")
    way = distance_m(before.lat_deg, before.lon_deg, lat, lon)
    if speed is None:
        speed = way / passed if passed else before.speed_mps
    if climb is None:
        climb = (alt - before.alt_m) / passed if passed else before.climb_mps
    return Sample(time, lat, lon, alt, speed, climb, way)
