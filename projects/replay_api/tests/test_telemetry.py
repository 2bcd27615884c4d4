"""Telemetry as CSV."""

from __future__ import annotations

from pathlib import Path

import pytest
from replay_api.errors import BadInput
from replay_api.telemetry import Sample, distance_m, read_samples

from projects.replay_api.tests.support import values
from tests.each import each


def read(tmp_path: Path, text: str | bytes) -> list[Sample]:
    path = tmp_path / "flight.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_samples(path))


def test_speed_and_climb_are_computed_where_they_are_missing(tmp_path: Path) -> None:
    first, second = read(tmp_path, values(["100,47,8,400", "102,47.0001,8,401"]))
    assert first == Sample(0, 47, 8, 400, 0, 0, 0)
    assert (second.time_s, second.climb_mps) == (2, 0.5)
    assert second.distance_m == pytest.approx(11.12, abs=0.01)
    assert second.speed_mps == pytest.approx(5.56, abs=0.01)


def test_speed_and_climb_are_taken_where_they_are_given(tmp_path: Path) -> None:
    text = (
        "Climb_mps, alt_m,lon_deg,lat_deg,note,time_s,speed_mps\n1,400,8,47,x,0,7\n,401,8,47,,1,\n"
    )
    first, second = read(tmp_path, text)
    assert (first.speed_mps, first.climb_mps) == (7, 1)
    assert (second.speed_mps, second.climb_mps) == (0, 1)


def test_a_byte_order_mark_empty_lines_and_other_line_ends_do_no_harm(tmp_path: Path) -> None:
    text = "\ufeff" + values(["0,47,8,400", "", "1,47,8,400"]).replace("\n", "\r\n")
    assert len(read(tmp_path, text)) == 2


def test_two_samples_of_one_instant_are_both_there(tmp_path: Path) -> None:
    samples = read(tmp_path, values(["0,47,8,400", "1,47.0001,8,400", "1,47.0002,8,400"]))
    assert samples[2].speed_mps == samples[1].speed_mps


@each(
    ("text", "said"),
    [
        ("", "has no column time_s, lat_deg, lon_deg, alt_m; its first line must name"),
        ("time_s,lat_deg\n0,1\n", "has no column lon_deg, alt_m;"),
        (values([]), "has 0 samples; a flight has two or more"),
        (values(["0,1,2,3"]), "has 1 samples; a flight has two or more"),
        (values(["0,1,2,3", "1,x,2,3"]), "line 3 of the CSV: lat_deg is 'x', which is no number"),
        (values(["0,1,2,3", "1,2"]), "line 3 of the CSV: lon_deg is '', which is no number"),
        (values(["0,1,nan,3"]), "line 2 of the CSV: lon_deg is 'nan', which is no number"),
        (values(["inf,1,2,3"]), "line 2 of the CSV: time_s is 'inf', which is no number"),
        (values(["0,90.1,2,3"]), "line 2 of the CSV: lat_deg is 90.1, beyond ±90"),
        (values(["0,1,-181,3"]), "line 2 of the CSV: lon_deg is -181, beyond ±180"),
        (values(["5,1,2,3", "4.5,1,2,3"]), "line 3 of the CSV: time_s goes back by 0.5 s; sort"),
        (values(["0,1,2,\0"]), "line 2 of the CSV: alt_m is '\\x00', which is no number"),
        (values(['0,1,2,"3']), "the CSV is damaged in line"),
        (values(["0,1,2," + "3" * 200_000]), "the CSV is damaged in line 2: field larger than"),
        (b"time_s,lat_deg,lon_deg,alt_m\n\xff", "the CSV is not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n\0\0", "the CSV is not UTF-8 text"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)


@each(
    ("one", "other", "metres"),
    [
        ((50.0, 8.0), (50.0, 8.0), 0),
        ((0.0, 0.0), (0.0, 180.0), 20_015_115),
        ((0.0, 179.5), (0.0, -179.5), 111_195),
        ((52.5163, 13.3777), (48.8584, 2.2945), 879_700),  # the Brandenburg Gate, the Eiffel Tower
    ],
)
def test_distances_are_those_on_the_globe(
    one: tuple[float, float], other: tuple[float, float], metres: float
) -> None:
    assert distance_m(*one, *other) == pytest.approx(metres, rel=2e-3, abs=1e-6)
