"""Reads sizes and durations, and spells them for people."""

from __future__ import annotations

import math
import re
from functools import lru_cache

from ..errors import InvalidSettings

HOUR = 3600.0
DAY = 24 * HOUR
MINUTE = 60.0

_SIZE_UNITS = {
    "": 1,
    "b": 1,
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgtp", 1)},
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgtp", 1)},
}
# `re` compiles these at their first use: a status without settings needs none of them.
_DURATION = r"\s*([0-9]{1,6})\s*([mhdw])\s*"
_MINUTES = {"m": 1, "h": 60, "d": 24 * 60, "w": 7 * 24 * 60}
_LONGEST_DAYS = 365
MINUTE_STEPS = (
    *(step for step in range(1, 60) if 60 % step == 0),
    *(60 * step for step in range(1, 24) if 24 % step == 0),
    24 * 60,
    7 * 24 * 60,
)
"""The intervals in minutes that divide an hour or a day evenly, and a day and a week."""

_SHARE = r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*"
_SIZE = r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*"


def spell_inodes(count: int) -> str:
    """`1 file or directory`, `3 files and directories`."""
    return "1 file or directory" if count == 1 else f"{count} files and directories"


def spell_size(size: int) -> str:
    """`size` bytes in the largest fitting binary unit: `0 B`, `812 B`, `3.4 GiB`."""
    if -1024 < size < 1024:
        return f"{size} B"
    value = size / 1024
    for unit in ("KiB", "MiB", "GiB"):
        if -1023.95 < value < 1023.95:  # anything more would be spelled 1024.0
            return f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def _unit_of(seconds: float) -> tuple[float, str]:
    seconds = abs(seconds)
    if seconds < 2 * MINUTE:
        return 1.0, "s"
    if seconds < 2 * HOUR:
        return MINUTE, "min"
    if seconds < 3 * DAY:
        return HOUR, "h"
    return DAY, "d"


def _trimmed(value: float, digits: int) -> str:
    if not digits:
        return str(round(value)) if math.isfinite(value) else str(value)
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def spell_duration(seconds: float) -> str:
    """`seconds` in the unit a person would use: `45 s`, `12 min`, `31 h`, `9 d`."""
    scale, unit = _unit_of(seconds)
    return f"{_trimmed(seconds / scale, 0)} {unit}"


def spell_comparison(value: float, limit: float) -> tuple[str, str]:
    """Two durations, with enough digits to tell them apart; in one unit, unless one is many times
    the other (`9 d`, `60 min`).
    """
    if limit:
        scale, unit, first, right = _nearly(limit)
        if value >= _MANY_TIMES * limit:
            return spell_duration(value), f"{right} {unit}"
    else:
        (scale, unit), first, right = _unit_of(value), 0, "0"
    left = _trimmed(value / scale, first)
    if left == right and value != limit:
        for digits in range(first + 1, _MOST_DIGITS):
            left, right = _trimmed(value / scale, digits), _trimmed(limit / scale, digits)
            if left != right:
                break
    return f"{left} {unit}", f"{right} {unit}"


def spell_excess(value: float, limit: float) -> str:
    """A duration over its limit, such as `10 d > 7 d`; "" if it is within the limit.

    A limit of zero means "older than nothing", so any duration is over it.
    """
    if value <= limit and limit:
        return ""
    past, most = spell_comparison(value, limit)
    return f"{past} {'>' if value > limit else '≥'} {most}"


_MANY_TIMES = 10

_MOST_DIGITS = 13
"""Enough to tell any two times of a clock apart, in days."""


@lru_cache(maxsize=64)
def _nearly(limit: float) -> tuple[float, str, int, str]:
    """The unit for `limit`, the number of decimals that is precise enough, and `limit` with those.
    Called for every entry.
    """
    scale, unit = _unit_of(limit)
    for digits in range(_MOST_DIGITS):
        text = _trimmed(limit / scale, digits)
        if math.isinf(limit) or abs(float(text) * scale - limit) <= limit / 1000:
            break
    return scale, unit, digits, text


def spell_share(share: float) -> str:
    """`share` as a percentage: `85 %`, `99.5 %`."""
    return f"{_trimmed(share * 100, 1)} %"


def spell_shares(share: float, limit: float) -> tuple[str, str]:
    """A share and the share that it is compared with, with enough digits to tell them apart."""
    for digits in range(_MOST_DIGITS):
        left, right = _trimmed(share * 100, digits), _trimmed(limit * 100, digits)
        if float(right) == round(limit * 100, 9) and (left != right or share == limit):
            break
    return f"{left} %", f"{right} %"


def read_share(text: object, what: str) -> float:
    """The share in a percentage such as `85%`: 0.85. Raises `InvalidSettings`."""
    match = re.fullmatch(_SHARE, text, re.ASCII) if isinstance(text, str) else None
    share = float(match[1]) / 100 if match else math.inf
    if share > 1:
        raise InvalidSettings(
            f'{what}: expected a percentage from "0%" to "100%" such as "85%", got {text!r}'
        )
    return share


def read_duration(text: object, what: str) -> float:
    """The seconds in a text such as `90m`, `36h`, `7d`, `2w`. Raises `InvalidSettings`."""
    minutes = _minutes_in(text)
    if minutes is None:
        bare = re.fullmatch("[0-9]+", str(text))
        hint = f"; it needs a unit, as in {text}h or {text}d" if bare else ""
        raise InvalidSettings(
            f"{what}: expected a time such as 90m, 36h, 7d or 2w, got {text!r}{hint}"
        )
    return minutes * MINUTE


def read_interval(text: object, what: str) -> int:
    """The minutes in a text such as `15m`, `6h`, `7d`, `1w`. Raises `InvalidSettings`."""
    minutes = _minutes_in(text) or 0
    if not 1 <= minutes <= _LONGEST_DAYS * _MINUTES["d"]:
        raise InvalidSettings(
            f"{what}: expected 15m, 6h, 1d or similar, {_LONGEST_DAYS}d at most, got {text!r}"
        )
    return minutes


def _minutes_in(text: object) -> int | None:
    match = re.fullmatch(_DURATION, text, re.ASCII) if isinstance(text, str) else None
    return int(match[1]) * _MINUTES[match[2]] if match else None


def spell_interval(minutes: int) -> str:
    """`minutes` as `read_interval` reads them: `15m`, `6h`, `7d`."""
    for unit in ("d", "h"):
        if minutes % _MINUTES[unit] == 0:
            return f"{minutes // _MINUTES[unit]}{unit}"
    return f"{minutes}m"


def read_number(text: object, what: str, unit: str = "number", scale: float = 1.0) -> float:
    """`scale` times the finite number >= 0 in `text`. `what` and `unit` name it in the error.

    Raises `InvalidSettings` for words, `nan`, `inf`, negative numbers and booleans.
    """
    try:
        if isinstance(text, bool) or not isinstance(text, (str, int, float)):
            raise ValueError
        value = float(text) * scale
        if not math.isfinite(value) or value < 0:
            raise ValueError
    except (ValueError, OverflowError):
        raise InvalidSettings(f"{what}: expected a {unit} of 0 or more, got {text!r}") from None
    return value


def read_count(text: object, what: str) -> int:
    """The whole number >= 0 in `text`. Raises `InvalidSettings`."""
    value = read_number(text, what, "whole number")
    if value != int(value):
        raise InvalidSettings(f"{what}: expected a whole number of 0 or more, got {text!r}")
    return int(value)


def read_size(text: object, what: str) -> int:
    """Bytes from an int or a text such as `20GiB`, `500 MB`, `1.5TiB`. Raises `InvalidSettings`."""
    if not isinstance(text, str):
        try:
            return read_count(text, what)
        except InvalidSettings:
            raise _no_size(text, what) from None
    match = re.fullmatch(_SIZE, text, re.ASCII)
    scale = _SIZE_UNITS.get(match[2].lower()) if match else None
    size = float(match[1]) * scale if match and scale else math.inf
    if not math.isfinite(size):
        raise _no_size(text, what)
    return int(size)


def _no_size(text: object, what: str) -> InvalidSettings:
    return InvalidSettings(f'{what}: expected a size such as "20GiB" or "500MB", got {text!r}')
