"""A report on each photo, written to a debug entry."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations, starmap
from pathlib import Path
from typing import Any

from PIL import Image, ImageStat

from common.temp import get_debug_temp_dir

from .reading import Skipped, each, load, new_file, on_white

SCHEMA_VERSION = 1
NEAR = 10  # of 64 bits; two views of one scene differ by about 10, two scenes by 15 and more
_BINS = 16


@dataclass(frozen=True, slots=True)
class Report:
    """One photo: as stored (format, mode) and as seen (the rest; pixels, on white)."""

    photo: str
    format: str
    mode: str
    width: int
    height: int
    mean_colour: str  # #rrggbb
    histogram: dict[str, tuple[int, ...]]  # pixels in each sixteenth of the range, dark to light
    dhash: str  # 16 hex digits


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two photos that look alike; `distance` is in bits, 0 to `NEAR`."""

    first: str
    second: str
    distance: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """The entry with the JSON files, and their content."""

    entry: Path
    reports: tuple[Report, ...]
    near_duplicates: tuple[NearDuplicate, ...]
    skipped: tuple[Skipped, ...]


def inspect_photos(photos: Iterable[Path]) -> Inspection:
    """A report on each photo, and the near-duplicates, also as JSON in a new debug entry.

    The entry has a `<photo>.json` for each, and `near_duplicates.json`. Photos that cannot be used
    are skipped. Raises `TempError` or `OSError` from the disk; files written before that stay, as
    debug output should.
    """
    entry = get_debug_temp_dir("inspect")
    reports, skipped = each(photos, partial(_inspect, entry=entry))
    alike = near_duplicates(reports)
    summary = {
        "near_duplicates": [asdict(pair) for pair in alike],
        "skipped": [{"photo": one.photo.name, "reason": one.reason} for one in skipped],
    }
    (entry / "near_duplicates.json").write_bytes(_json(summary))
    return Inspection(entry, reports, alike, skipped)


def near_duplicates(reports: Sequence[Report]) -> tuple[NearDuplicate, ...]:
    """The pairs of photos that look alike, the closest first.

    A photo without structure, such as a clear sky, is like no other: all of them have the same
    hash. Compares each photo with each, so 10,000 photos take about ten seconds.
    """
    hashes = [(report.photo, int(report.dhash, 16)) for report in reports]
    pairs = combinations([(name, bits) for name, bits in hashes if bits], 2)
    alike = (pair for pair in starmap(_compare, pairs) if pair.distance <= NEAR)
    return tuple(sorted(alike, key=lambda pair: (pair.distance, pair.first, pair.second)))


def dhash(image: Image.Image) -> int:
    """The 64-bit difference hash: a bit for each of 8 x 8 steps to the right, set if it is lighter.

    It hardly changes with size, compression, brightness or colour, but it does if the photo is
    rotated or cropped.
    """
    grey = on_white(image).convert("L").resize((9, 8), Image.Resampling.LANCZOS).tobytes()
    steps = (grey[row + x] < grey[row + x + 1] for row in range(0, 72, 9) for x in range(8))
    return sum(lighter << bit for bit, lighter in enumerate(steps))


def _inspect(photo: Path, entry: Path) -> Report:
    picture = load(photo)
    seen = on_white(picture.image)
    histogram = seen.histogram()
    report = Report(
        photo=photo.name,
        format=picture.stored_format,
        mode=picture.stored_mode,
        width=seen.width,
        height=seen.height,
        mean_colour="#" + bytes(round(mean) for mean in ImageStat.Stat(seen).mean).hex(),
        histogram={
            colour: _binned(histogram[start : start + 256])
            for colour, start in (("red", 0), ("green", 256), ("blue", 512))
        },
        dhash=f"{dhash(seen):016x}",
    )
    with new_file(entry, photo, ".json") as file:
        file.write(_json(asdict(report)))
    return report


def _binned(counts: Sequence[int]) -> tuple[int, ...]:
    width = len(counts) // _BINS
    return tuple(sum(counts[start : start + width]) for start in range(0, len(counts), width))


def _compare(one: tuple[str, int], other: tuple[str, int]) -> NearDuplicate:
    return NearDuplicate(one[0], other[0], (one[1] ^ other[1]).bit_count())


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps({"schema_version": SCHEMA_VERSION, **value}, indent=2) + "\n").encode()
