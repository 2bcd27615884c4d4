"""Reads timestamps in ISO 8601, in UTC and to the second."""

from __future__ import annotations

import re
from calendar import timegm
from typing import Final

_INSTANT: Final = re.compile(
    "(?!0000)([0-9]{4})-(0[1-9]|1[0-2])-([0-2][0-9]|3[01])T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])Z"
)


def seconds_of(instant: str) -> float | None:
    """The seconds since 1970 of `instant`; `None` if it is not such a timestamp."""
    found = _INSTANT.fullmatch(instant)
    return float(timegm((*map(int, found.groups()), 0, 0, 0))) if found else None
