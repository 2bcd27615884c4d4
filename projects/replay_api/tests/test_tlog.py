"""MAVLink telemetry logs; the frames here are what pymavlink 2.4 writes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from replay_api.errors import BadInput
from replay_api.telemetry import read_samples
from replay_api.tlog import checksum, convert

V1 = "00060a24181e4000fe1c00010121e80300004a52401c42f41705a4720700000000002c0170fe6aff28236e85"
V1_HEARTBEAT = "00060a2418214d40fe09000101000000000002035104037ddd"
V2 = (
    "00060a24182d8240fd1c0000000101210000d0070000ae52401c42f4170580780700000000002c0170fe6aff2823"
    "0dbc"
)
V2_SHORT = "00060a24183cc480fd0f0000000101210000b80b00001253401c42f4170580780703b5"
V2_SIGNED = (
    "00060a24184c06c0fd1b0100000101210000a00f00007653401c42f4170540720700000000000000000064000155"
    "05000100000000004edf74d7e4bf"
)
OTHER_VEHICLE = "00060a241853a7e0fd0d000000070121000094110000ffffffffffffffffff014742"
NO_FIX = "00060a2418552e80fd0e0000000101210000f81100000000000000000000e8037ba1"
FLIGHT = (V1, V1_HEARTBEAT, V2, V2_SHORT, V2_SIGNED)
ROWS = """\
time_s,lat_deg,lon_deg,alt_m,speed_mps,climb_mps
1.0,47.3977418,8.5455938,488.1,5.0,1.5
2.0,47.3977518,8.5455938,489.6,5.0,1.5
3.0,47.3977618,8.5455938,489.6,0.0,0.0
4.0,47.3977718,8.5455938,488.0,0.0,-1.0
"""


def converted(tmp_path: Path, *records: str | bytes) -> str:
    data = [bytes.fromhex(record) if isinstance(record, str) else record for record in records]
    (tmp_path / "flight.tlog").write_bytes(b"".join(data))
    (tmp_path / "flight.csv").unlink(missing_ok=True)
    convert(tmp_path / "flight.tlog", tmp_path / "flight.csv")
    return (tmp_path / "flight.csv").read_text()


def test_positions_of_both_versions_short_and_signed_are_read(tmp_path: Path) -> None:
    assert converted(tmp_path, *FLIGHT) == ROWS


def test_what_was_converted_is_telemetry(tmp_path: Path) -> None:
    converted(tmp_path, *FLIGHT)
    samples = list(read_samples(tmp_path / "flight.csv"))
    assert [sample.time_s for sample in samples] == [0, 1, 2, 3]


def test_another_vehicle_and_positions_without_a_fix_are_left_out(tmp_path: Path) -> None:
    assert converted(tmp_path, NO_FIX, V1, OTHER_VEHICLE, NO_FIX, *FLIGHT[1:]) == ROWS


def test_what_goes_back_in_time_is_left_out(tmp_path: Path) -> None:
    assert converted(tmp_path, *FLIGHT, V1, V2) == ROWS


@pytest.mark.parametrize("cut", [1, 7, 8, 9, 17, 20, 43])
def test_a_log_that_was_cut_off_is_read_up_to_there(tmp_path: Path, cut: int) -> None:
    last = bytes.fromhex(V1)[:cut]
    assert converted(tmp_path, *FLIGHT, last) == ROWS


@pytest.mark.parametrize("place", [8, 9, 14, 18, 25, 40, 43])
def test_a_damaged_record_is_left_out_and_the_next_one_found(tmp_path: Path, place: int) -> None:
    damaged = bytearray.fromhex(V2)
    damaged[place] ^= 0x10
    rows = converted(tmp_path, V1, bytes(damaged), V2_SHORT, V2_SIGNED)
    assert rows == ROWS.replace("2.0,47.3977518,8.5455938,489.6,5.0,1.5\n", "")


def test_a_damaged_time_of_a_record_does_no_harm(tmp_path: Path) -> None:
    assert converted(tmp_path, V1, "ff" * 8 + V2[16:], V2_SHORT, V2_SIGNED) == ROWS


def test_whatever_lies_between_records_they_are_found(tmp_path: Path) -> None:
    noise = random.Random(7)
    records: list[str | bytes] = []
    for record in FLIGHT:
        records += [noise.randbytes(noise.randrange(300)), record]
    assert converted(tmp_path, *records) == ROWS


@pytest.mark.parametrize(
    "data", [b"", b"\xfe", b"\0" * 9 + b"\xfd", b"time_s,lat_deg\n" * 50, bytes(range(256)) * 40]
)
def test_what_is_no_log_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadInput, match="no valid GLOBAL_POSITION_INT message"):
        converted(tmp_path, data)


def test_a_log_without_a_position_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no valid GLOBAL_POSITION_INT message"):
        converted(tmp_path, V1_HEARTBEAT, NO_FIX)


def test_the_checksum_is_that_of_the_standard() -> None:
    assert checksum(b"12345678", ord("9")) == 0x6F91  # the check value of CRC-16/MCRF4XX
