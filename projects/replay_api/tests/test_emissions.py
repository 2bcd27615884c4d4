"""Emissions, reports and maps."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from replay_api.calibration import Calibration
from replay_api.emissions import RESULTS, Track, compute
from replay_api.errors import BadInput
from replay_api.telemetry import Sample

from common.temp import JobStorage, StorageRoot
from projects.replay_api.tests.support import flight, parts, values
from tests.support import REPOSITORY, environment

MEASURED = """
from pathlib import Path
import json, sys
from common.temp import JobStorage
from replay_api.emissions import compute
compute(JobStorage(**{name: Path(path) for name, path in json.loads(sys.argv[1]).items()}))
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""
SOURCES = Path(__file__).resolve().parents[1] / "src"


@pytest.fixture
def job(tmp_path: Path) -> JobStorage:
    storage = StorageRoot(tmp_path / "jobs").allocate_job("a")
    uploaded = parts(tmp_path / "client")
    shutil.copy(uploaded["csv"], storage.csv_path)
    shutil.copy(uploaded["video"], storage.video_path)
    shutil.copy(uploaded["calibration"], storage.calibration_path)
    return storage


def lines(job: JobStorage) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job.output_dir / RESULTS[0]).read_text().splitlines()]


def report(job: JobStorage) -> dict[str, Any]:
    return json.loads((job.output_dir / RESULTS[1]).read_text())  # type: ignore[no-any-return]


def tracks(job: JobStorage) -> list[list[list[float]]]:
    said = json.loads((job.output_dir / RESULTS[2]).read_text())
    (track,) = (one for one in said["features"] if one["properties"]["name"] == "track")
    return track["geometry"]["coordinates"]  # type: ignore[no-any-return]


def test_there_is_a_line_for_each_sample_and_the_three_results(job: JobStorage) -> None:
    assert compute(job).samples == 20
    assert len(lines(job)) == 20
    assert sorted(path.name for path in job.output_dir.iterdir()) == sorted(RESULTS)


def test_a_line_says_where_how_fast_how_much_and_which_second_of_the_video(
    job: JobStorage,
) -> None:
    job.csv_path.write_text(
        "time_s,lat_deg,lon_deg,alt_m,speed_mps,climb_mps\n"
        "0,47,8,400,0,0\n3600,47,8,400,10,0\n7200,47,8,400,0,0\n"
    )
    job.calibration_path.write_text('{"mass_kg": 1.4, "video_offset_s": 3595}')
    compute(job)
    aircraft = Calibration(1.4)
    hover, fast = aircraft.power_w(0, 0), aircraft.power_w(10, 0)
    first, second, third = lines(job)
    assert first == {
        "time_s": 0,
        "lat_deg": 47,
        "lon_deg": 8,
        "alt_m": 400,
        "speed_mps": 0,
        "climb_mps": 0,
        "power_w": round(hover, 1),
        "energy_wh": 0,
        "co2e_g": 0,
        "video_s": None,
    }
    assert second["energy_wh"] == pytest.approx(hover, abs=1e-3)
    assert third["energy_wh"] == pytest.approx(hover + fast, abs=1e-3)
    assert third["co2e_g"] == pytest.approx(0.4 * (hover + fast), abs=1e-3)
    assert [line["video_s"] for line in (second, third)] == [5, None]


def test_the_report_sums_up(job: JobStorage) -> None:
    compute(job)
    said = report(job)
    assert said["schema_version"] == 1
    assert (said["source"], said["samples"], said["duration_s"]) == ("csv", 20, 19)
    assert (said["min_alt_m"], said["max_alt_m"], said["climbed_m"]) == (400, 400.19, 0.19)
    assert said["distance_m"] == pytest.approx(19 * 1.345, abs=0.1)
    assert said["mean_speed_mps"] == pytest.approx(said["distance_m"] / 19, abs=1e-4)
    assert said["energy_wh"] == lines(job)[-1]["energy_wh"]
    assert (said["video_duration_s"], said["video_covers_s"]) == (10, 10)


@pytest.mark.parametrize(
    ("offset", "covers"), [(-20, 0), (-5, 5), (0, 10), (5, 10), (15, 4), (19, 0), (50, 0)]
)
def test_the_video_covers_what_it_shows_of_the_flight(
    job: JobStorage, offset: float, covers: float
) -> None:
    job.calibration_path.write_text(json.dumps({"mass_kg": 1, "video_offset_s": offset}))
    compute(job)
    assert report(job)["video_covers_s"] == covers


def test_the_map_is_the_track_with_its_ends(job: JobStorage) -> None:
    compute(job)
    (track,) = tracks(job)
    assert track[0] == [8.5, 47.3, 400.0]
    assert len(track) == 20
    said = json.loads((job.output_dir / RESULTS[2]).read_text())
    assert said["type"] == "FeatureCollection"
    ends = {one["properties"]["name"]: one["geometry"] for one in said["features"][1:]}
    assert ends["start"] == {"type": "Point", "coordinates": track[0]}
    assert ends["end"] == {"type": "Point", "coordinates": track[-1]}


def test_a_track_is_cut_at_the_date_line(job: JobStorage) -> None:
    job.csv_path.write_text(
        values(["0,0,179.8,9", "1,0,179.9,9", "2,0,-179.9,9", "3,0,-179.8,9", "4,0,179.9,9"])
    )
    compute(job)
    assert [[point[0] for point in line] for line in tracks(job)] == [
        [179.8, 179.9],
        [-179.9, -179.8],
        [179.9, 179.9],
    ]


def test_an_aircraft_that_does_not_move_has_a_track(job: JobStorage) -> None:
    job.csv_path.write_text(values(["0,47,8,400", "1,47,8,400"]))
    compute(job)
    assert tracks(job) == [[[8, 47, 400], [8, 47, 400]]]


def test_many_times_the_samples_take_no_more_memory(job: JobStorage) -> None:
    peaks = []
    for samples in (5_000, 30_000):
        flight(job.csv_path, samples)
        for name in RESULTS:
            (job.output_dir / name).unlink(missing_ok=True)
        paths = json.dumps({name: str(path) for name, path in asdict(job).items()})
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, paths],
            env=environment(PYTHONPATH=os.pathsep.join([str(SOURCES), str(REPOSITORY)])),
            stdin=subprocess.PIPE,
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] < peaks[0] + 3_000, peaks  # KiB; to keep 25,000 samples would take more
    assert report(job)["samples"] == 30_000


def test_the_map_of_a_long_flight_is_thinned_out_and_ends_where_it_does() -> None:
    track = Track()
    for second in range(200_000):
        track.add(Sample(second, 47, second * 1e-4, 400, 0, 0, 0))
    (line,) = track.geojson()["features"][0]["geometry"]["coordinates"]
    assert 2_500 <= len(line) <= 5_002
    assert line[0] == (0, 47, 400)
    assert line[-1] == (19.9999, 47, 400)
    steps = {round(after[0] - before[0], 7) for before, after in pairwise(line[:-1])}
    assert len(steps) == 1


@pytest.mark.parametrize("broken", ["csv", "video", "calibration"])
def test_each_upload_is_checked(job: JobStorage, broken: str) -> None:
    getattr(job, f"{broken}_path").write_text("nothing of the kind")
    with pytest.raises(BadInput, match=f"(?i)the {broken}"):
        compute(job)


def test_a_tlog_is_converted_first(job: JobStorage) -> None:
    from projects.replay_api.tests.test_tlog import FLIGHT

    job.csv_path.unlink()
    job.tlog_path.write_bytes(bytes.fromhex("".join(FLIGHT)))
    assert compute(job).source == "tlog"
    assert job.csv_path.exists()
    assert report(job)["samples"] == 4
