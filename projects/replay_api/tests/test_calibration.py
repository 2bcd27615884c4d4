"""Calibrations."""

from __future__ import annotations

from pathlib import Path

import pytest
from replay_api.calibration import Calibration, read_calibration
from replay_api.errors import BadInput

from tests.each import each


def read(tmp_path: Path, text: str | bytes) -> Calibration:
    path = tmp_path / "aircraft.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_calibration(path)


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    assert read(tmp_path, '{"mass_kg": 2}') == Calibration(2.0)


def test_what_is_said_counts(tmp_path: Path) -> None:
    said = read(tmp_path, '{"mass_kg": 2, "efficiency": 1, "video_offset_s": -3.5}')
    assert said == Calibration(2.0, efficiency=1.0, video_offset_s=-3.5)


@each(
    ("text", "said"),
    [
        ("", "is not valid JSON"),
        ("{", "is not valid JSON"),
        (b"\xff\xfe\xff", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ('{"mass_kg": NaN}', "NaN is no number"),
        ("[1]", "is no JSON object"),
        ("null", "is no JSON object"),
        ("{}", "has no mass_kg; add it"),
        ('{"mass_kg": 1, "wings": 2}', "has a key 'wings'; expected some of mass_kg,"),
        ('{"mass_kg": "1"}', "mass_kg is 1; expected a number from 0 to 1e+06"),
        ('{"mass_kg": true}', "mass_kg is True; expected a number"),
        ('{"mass_kg": null}', "mass_kg is None; expected a number"),
        ('{"mass_kg": [1]}', r"mass_kg is [1]; expected a number"),
        ('{"mass_kg": 0}', "mass_kg is 0; expected a number"),
        ('{"mass_kg": -1}', "mass_kg is -1; expected a number"),
        ('{"mass_kg": 1e999}', "mass_kg is inf; expected a number"),
        ('{"mass_kg": 1%s}' % ("0" * 400), "expected a number from 0 to 1e+06"),
        ('{"mass_kg": 1, "efficiency": 1.1}', "efficiency is 1.1; expected a number from 0 to 1"),
        ('{"mass_kg": 1, "video_offset_s": 1e7}', "expected a number from -1e+06 to 1e+06"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)


def test_the_power_to_hover_is_that_of_momentum_theory() -> None:
    # P = W · sqrt(W / 2ρA) / η of 10 N on 1 m² in air of 1.25 kg/m³
    aircraft = Calibration(10 / 9.80665, rotor_area_m2=1, efficiency=0.5, air_density_kg_m3=1.25)
    assert aircraft.power_w(0, 0) == pytest.approx(10 * (10 / 2.5) ** 0.5 / 0.5)


def test_flying_fast_and_climbing_take_more_and_sinking_gives_nothing_back() -> None:
    aircraft = Calibration(1.4)
    hover = aircraft.power_w(0, 0)
    assert aircraft.power_w(10, 0) - hover == pytest.approx(0.5 * 1.225 * 0.03 * 1000 / 0.6)
    assert aircraft.power_w(0, 2) - hover == pytest.approx(1.4 * 9.80665 * 2 / 0.6)
    assert aircraft.power_w(0, -2) == hover
