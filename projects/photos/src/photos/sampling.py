"""A contact sheet of some of the photos, assembled in a working directory."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from os import fsencode
from pathlib import Path

from PIL import Image

from common.temp import temp_working_dir

from .errors import PhotosError, UnusablePhoto
from .reading import Skipped, load, on_white

SHEET_SUFFIXES = (".jpeg", ".jpg", ".png")
_WIDEST_SHEET = 10_000  # pixels; a square one then takes 300 MB of memory


@dataclass(frozen=True, slots=True)
class ContactSheet:
    """The path of the sheet, the names of the photos on it, and those that could not be used."""

    path: Path
    photos: tuple[Path, ...]
    skipped: tuple[Skipped, ...]


def shuffled(photos: Iterable[Path], seed: int) -> list[Path]:
    """The photos in an order that depends only on the seed and their names.

    The order is by a hash of both, not by `random`: it is the same in every version of Python, and
    adding or removing a photo does not change the order of the others.
    """
    key = seed.to_bytes(16, signed=True)
    return sorted(photos, key=lambda photo: (_hash(photo.name, key), photo))


def make_contact_sheet(
    photos: Sequence[Path], output: Path, count: int = 12, seed: int = 0, tile: int = 200
) -> ContactSheet:
    """A sheet of `count` photos, or of all if there are fewer, written to `output`.

    The photos are chosen by `seed`; one that cannot be used is replaced by the next. The tiles have
    `tile` pixels per side. A file at `output` is replaced, but only by a finished sheet. Raises
    `PhotosError`, or `TempError` or `OSError` from the disk; the working directory is deleted in
    any case.
    """
    _check(photos, output, count, tile)
    with temp_working_dir("sheet") as work:
        tiles, skipped = _make_tiles(shuffled(photos, seed), work, count, tile)
        if not tiles:
            raise PhotosError(f"none of the {len(photos)} photos can be read")
        sheet = work / f"sheet{output.suffix.lower()}"
        _join([tiles[photo] for photo in sorted(tiles)], tile).save(sheet, quality=90)
        shutil.move(sheet, output)
    return ContactSheet(output, tuple(sorted(tiles)), skipped)


def _hash(name: str, key: bytes) -> bytes:
    return blake2b(fsencode(name), digest_size=16, key=key).digest()


def _check(photos: Sequence[Path], output: Path, count: int, tile: int) -> None:
    if output.suffix.lower() not in SHEET_SUFFIXES:
        raise PhotosError(f"{output} must end in {', '.join(SHEET_SUFFIXES)}")
    if output.is_dir():
        raise PhotosError(f"{output} is a directory; name a file for the sheet")
    if not output.parent.is_dir():
        raise PhotosError(f"{output.parent} is not a directory; make it first")
    if output.resolve() in {photo.resolve() for photo in photos}:
        raise PhotosError(f"{output} is one of the photos; name another file for the sheet")
    width = _columns(min(count, len(photos))) * tile
    if width > _WIDEST_SHEET:
        raise PhotosError(
            f"the sheet would be {width} pixels wide, more than {_WIDEST_SHEET}; "
            "ask for fewer photos or smaller tiles"
        )


def _make_tiles(
    photos: Iterable[Path], work: Path, count: int, tile: int
) -> tuple[dict[Path, Path], tuple[Skipped, ...]]:
    """The tiles of the first `count` usable photos, as files; only one is in memory at a time."""
    tiles: dict[Path, Path] = {}
    skipped: list[Skipped] = []
    for photo in photos:
        if len(tiles) == count:
            break
        try:
            image = on_white(load(photo, shown_at=tile).image)
        except UnusablePhoto as error:
            skipped.append(Skipped(photo, str(error)))
            continue
        image.thumbnail((tile, tile), Image.Resampling.LANCZOS)
        tiles[photo] = work / f"tile_{len(tiles)}.png"
        image.save(tiles[photo])
    return tiles, tuple(skipped)


def _join(tiles: Sequence[Path], side: int) -> Image.Image:
    columns = _columns(len(tiles))
    sheet = Image.new("RGB", (columns * side, math.ceil(len(tiles) / columns) * side), "white")
    for index, path in enumerate(tiles):
        row, column = divmod(index, columns)
        with Image.open(path) as tile:
            middle = ((side - tile.width) // 2, (side - tile.height) // 2)
            sheet.paste(tile, (column * side + middle[0], row * side + middle[1]))
    return sheet


def _columns(count: int) -> int:
    return math.ceil(math.sqrt(count))
