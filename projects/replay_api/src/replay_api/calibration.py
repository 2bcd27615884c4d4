"""The calibration file (JSON), which describes an aircraft and its camera."""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

from .errors import BadInput

_GRAVITY = 9.80665


@dataclass(frozen=True, slots=True)
class Calibration:
    """A multirotor, and the emissions of its battery's energy.

    `efficiency` is from the battery to the air, `drag_area_m2` the drag coefficient times the
    frontal area, `co2e_g_per_wh` the emissions of a watt-hour from the charger. `video_offset_s` is
    the second of the flight at which the video begins; it may be negative.
    """

    mass_kg: float
    rotor_area_m2: float = 0.2
    efficiency: float = 0.6
    drag_area_m2: float = 0.03
    air_density_kg_m3: float = 1.225
    co2e_g_per_wh: float = 0.4
    video_offset_s: float = 0.0

    def power_w(self, speed_mps: float, climb_mps: float) -> float:
        """The estimated power of the battery in steady flight.

        It is the sum of lift as in hovering (momentum theory), drag by speed, and climbing by mass.
        Sinking returns no energy.
        """
        weight = self.mass_kg * _GRAVITY
        lift = weight * math.sqrt(weight / (2 * self.air_density_kg_m3 * self.rotor_area_m2))
        drag = 0.5 * self.air_density_kg_m3 * self.drag_area_m2 * speed_mps**3
        return (lift + drag + weight * max(0.0, climb_mps)) / self.efficiency


def read_calibration(path: Path) -> Calibration:
    """The calibration in a file. Raises `BadInput`, naming the key, and `OSError`."""
    known = {field.name: field.default for field in fields(Calibration)}
    try:
        said = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the calibration is not valid JSON: {error}") from None
    if not isinstance(said, dict):
        raise BadInput('the calibration is no JSON object; expected {"mass_kg": …}')
    for key in said:
        if key not in known:
            raise BadInput(
                f"the calibration has a key {key[:40]!r}; expected some of {', '.join(known)}"
            )
    for key, default in known.items():
        if default is MISSING and key not in said:
            raise BadInput(f"the calibration has no {key}; add it")
    return Calibration(**{key: _number(key, value) for key, value in said.items()})


def _number(key: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, OverflowError):
        number = math.nan
    most = 1.0 if key == "efficiency" else 1e6
    good = abs(number) <= most if key == "video_offset_s" else 0 < number <= most
    if not good:
        least = -most if key == "video_offset_s" else 0
        raise BadInput(
            f"the calibration's {key} is {str(value)[:40]}; "
            f"expected a number from {least:g} to {most:g}"
        )
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
