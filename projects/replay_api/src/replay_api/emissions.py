"""The emissions of a flight, computed from its telemetry in one pass and with little memory."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from common.temp import JobStorage

from . import tlog, video
from .calibration import Calibration, read_calibration
from .telemetry import Sample, read_samples

SCHEMA_VERSION: Final = 1
EMISSIONS: Final = "emissions.jsonl"
REPORT: Final = "report.json"
MAP: Final = "map.geojson"
RESULTS: Final = (EMISSIONS, REPORT, MAP)

_MOST_POINTS: Final = 5_000
_SECONDS_PER_HOUR: Final = 3600.0


@dataclass(slots=True)
class Report:
    """The totals of a flight. `video_covers_s` is the number of seconds that the video shows."""

    source: str = "csv"
    samples: int = 0
    duration_s: float = 0.0
    distance_m: float = 0.0
    mean_speed_mps: float = 0.0
    max_speed_mps: float = 0.0
    min_alt_m: float = 0.0
    max_alt_m: float = 0.0
    climbed_m: float = 0.0
    energy_wh: float = 0.0
    co2e_g: float = 0.0
    video_duration_s: float = 0.0
    video_covers_s: float = 0.0


def compute(job: JobStorage) -> Report:
    """Write the results of a job to `output_dir`, and return the report on its flight.

    A tlog is converted to CSV first. `emissions.jsonl` has a line for each sample: position, speed,
    power, the energy and the CO2 equivalent so far, and the second of the video that shows it
    (`null` if none does). `report.json` has the totals, and `map.geojson` the track. Raises
    `BadInput` for an upload that cannot be used, and `OSError`.
    """
    calibration = read_calibration(job.calibration_path)
    report = Report(video_duration_s=video.duration_s(job.video_path))
    if not job.csv_path.exists():
        report.source = "tlog"
        tlog.convert(job.tlog_path, job.csv_path)
    track = Track()
    with (job.output_dir / EMISSIONS).open("x", encoding="utf-8") as file:
        for line in _emissions(read_samples(job.csv_path), calibration, report, track):
            file.write(json.dumps(line) + "\n")
    _write(job, REPORT, {"schema_version": SCHEMA_VERSION, **_rounded(asdict(report))})
    _write(job, MAP, track.geojson())
    return report


def _emissions(
    samples: Iterable[Sample], calibration: Calibration, report: Report, track: Track
) -> Iterable[dict[str, Any]]:
    """A line for each sample. `report` and `track` are complete after the last one."""
    power = last_alt = 0.0
    begins = calibration.video_offset_s
    for sample in samples:
        # Between two samples, the power is that of the first.
        report.energy_wh += power * (sample.time_s - report.duration_s) / _SECONDS_PER_HOUR
        report.co2e_g = report.energy_wh * calibration.co2e_g_per_wh
        power = calibration.power_w(sample.speed_mps, sample.climb_mps)
        if not report.samples:
            report.min_alt_m = report.max_alt_m = last_alt = sample.alt_m
        report.samples += 1
        report.duration_s = sample.time_s
        report.distance_m += sample.distance_m
        report.max_speed_mps = max(report.max_speed_mps, sample.speed_mps)
        report.min_alt_m = min(report.min_alt_m, sample.alt_m)
        report.max_alt_m = max(report.max_alt_m, sample.alt_m)
        report.climbed_m += max(0.0, sample.alt_m - last_alt)
        last_alt = sample.alt_m
        track.add(sample)
        shown = sample.time_s - begins
        yield {
            "time_s": round(sample.time_s, 3),
            "lat_deg": round(sample.lat_deg, 7),
            "lon_deg": round(sample.lon_deg, 7),
            "alt_m": round(sample.alt_m, 2),
            "speed_mps": round(sample.speed_mps, 2),
            "climb_mps": round(sample.climb_mps, 2),
            "power_w": round(power, 1),
            "energy_wh": round(report.energy_wh, 4),
            "co2e_g": round(report.co2e_g, 4),
            "video_s": round(shown, 3) if 0 <= shown <= report.video_duration_s else None,
        }
    ends = min(report.duration_s, begins + report.video_duration_s)
    report.video_covers_s = max(0.0, ends - max(0.0, begins))
    if report.duration_s:
        report.mean_speed_mps = report.distance_m / report.duration_s


class Track:
    """The path of an aircraft, thinned out to a few thousand points."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float, float]] = []
        self.last: tuple[float, float, float] | None = None
        self._every = 1
        self._seen = 0

    def add(self, sample: Sample) -> None:
        """Add the next sample."""
        self.last = (round(sample.lon_deg, 7), round(sample.lat_deg, 7), round(sample.alt_m, 2))
        if self._seen % self._every == 0:
            self.points.append(self.last)
            if len(self.points) > _MOST_POINTS:
                del self.points[1::2]
                self._every *= 2
        self._seen += 1

    def geojson(self) -> dict[str, Any]:
        """The track, its start and its end as GeoJSON. The track is cut at the date line."""
        points = [*self.points]
        if self.last is not None and points[-1] != self.last:
            points.append(self.last)
        lines = [[points[0]]]
        for before, point in itertools.pairwise(points):
            if abs(point[0] - before[0]) > 180:
                lines.append([])
            lines[-1].append(point)
        track = {"type": "MultiLineString", "coordinates": [_line(line) for line in lines]}
        ends = (("start", points[0]), ("end", points[-1]))
        return {
            "type": "FeatureCollection",
            "features": [
                _feature("track", track),
                *(_feature(name, {"type": "Point", "coordinates": at}) for name, at in ends),
            ],
        }


def _line(points: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """A line of at least two positions, even if the aircraft did not move."""
    return points if len(points) > 1 else points * 2


def _feature(name: str, geometry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"name": name}, "geometry": geometry}


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in values.items()
    }


def _write(job: JobStorage, name: str, value: dict[str, Any]) -> None:
    with (job.output_dir / name).open("x", encoding="utf-8") as file:
        json.dump(value, file)
        file.write("\n")
