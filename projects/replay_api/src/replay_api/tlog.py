"""Converts MAVLink telemetry logs (`.tlog`) to CSV.

A tlog is a sequence of records: eight bytes of time and one MAVLink frame, of version 1 or 2. Only
the message GLOBAL_POSITION_INT is read, which every autopilot sends. Its checksum is verified. It
does not cover the time of the record, so the time since the start of the autopilot is used, which
is in the message. See https://mavlink.io/en/guide/serialization.html.
"""

from __future__ import annotations

import csv
import math
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from .errors import BadInput
from .telemetry import OPTIONAL, REQUIRED

_TIME_BYTES: Final = 8
_V1, _V2 = 0xFE, 0xFD
_HEADERS: Final = {_V1: 6, _V2: 10}
_SIGNED: Final = 0x01
_SIGNATURE: Final = 13
_CHECKSUM: Final = 2

_GLOBAL_POSITION_INT: Final = 33
_SEED: Final = 104
"""The value that is added to the checksum of this message: a hash of its definition."""
_POSITION: Final = struct.Struct("<IiiiihhhH")


class _Frame(NamedTuple):
    system: int
    message: int
    payload: bytes
    end: int


def convert(tlog: Path, target: Path) -> int:
    """Write the positions of the first vehicle in `tlog` to the new CSV `target`. Returns how many.

    Skips damaged records, positions without a fix, and positions that go back in time, for example
    after a restart of the autopilot. Raises `BadInput` if there are none, and `OSError`.
    """
    count = 0
    with target.open("x", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow((*REQUIRED, *OPTIONAL))
        for row in _positions(tlog):
            rows.writerow(row)
            count += 1
    if not count:
        raise BadInput(
            "the tlog has no valid GLOBAL_POSITION_INT message with a position; "
            "is it a MAVLink telemetry log?"
        )
    return count


def _positions(tlog: Path) -> Iterator[tuple[float, ...]]:
    vehicle: int | None = None
    last = 0
    with tlog.open("rb") as file:
        if not file.seek(0, 2):
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for frame in _frames(data):
                if frame.message != _GLOBAL_POSITION_INT:
                    continue
                time_ms, lat, lon, alt, _, north, east, down, _ = _POSITION.unpack(frame.payload)
                is_fix = abs(lat) <= 90e7 and abs(lon) <= 180e7 and (lat or lon)
                if not is_fix or time_ms < last or vehicle not in (None, frame.system):
                    continue
                vehicle, last = frame.system, time_ms
                yield (
                    time_ms / 1e3,
                    lat / 1e7,
                    lon / 1e7,
                    alt / 1e3,
                    math.hypot(north, east) / 100,
                    -down / 100,
                )


def _frames(data: mmap.mmap) -> Iterator[_Frame]:
    place = 0
    while place < len(data):
        frame = _frame_at(data, place)
        if frame is None:
            place += 1
        else:
            yield frame
            place = frame.end


def _frame_at(data: mmap.mmap, place: int) -> _Frame | None:
    """The record that begins at `place`, if any."""
    start = place + _TIME_BYTES
    if start >= len(data) or (header := _HEADERS.get(data[start])) is None:
        return None
    payload = start + header
    if payload > len(data):
        return None
    length = data[start + 1]
    if data[start] == _V1:
        system, message = data[start + 3], data[start + 5]
        signature = 0
    else:
        system, message = data[start + 5], int.from_bytes(data[start + 7 : payload], "little")
        signature = _SIGNATURE if data[start + 2] & _SIGNED else 0
    end = payload + length + _CHECKSUM + signature
    if end > len(data):
        return None
    body = data[payload : payload + length]
    if message == _GLOBAL_POSITION_INT:
        said = int.from_bytes(data[payload + length : payload + length + _CHECKSUM], "little")
        if checksum(data[start + 1 : payload + length], _SEED) != said:
            return None
        # Version 2 omits zeros at the end of a payload, and may have newer fields there.
        body = body[: _POSITION.size].ljust(_POSITION.size, b"\0")
    elif not _begins_at(data, end):
        return None  # the seed of other messages is unknown: the next record must confirm this
    return _Frame(system, message, body, end)


def _begins_at(data: mmap.mmap, place: int) -> bool:
    start = place + _TIME_BYTES
    return place == len(data) or (start < len(data) and data[start] in _HEADERS)


def checksum(data: bytes, seed: int) -> int:
    """The checksum of a frame (CRC-16/MCRF4XX), over all but its first byte, and the seed."""
    crc = 0xFFFF
    for byte in (*data, seed):
        mixed = (byte ^ crc) & 0xFF
        mixed = (mixed ^ (mixed << 4)) & 0xFF
        crc = (crc >> 8) ^ (mixed << 8) ^ (mixed << 3) ^ (mixed >> 4)
    return crc
