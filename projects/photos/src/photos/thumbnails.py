"""Thumbnails in a cache entry: they can be made again, so they may be cleaned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from common.temp import get_cache_temp_dir

from .reading import Skipped, each, load, new_file


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """The entry, its thumbnails in the order of the photos, and the photos without a thumbnail."""

    entry: Path
    made: tuple[Path, ...]
    skipped: tuple[Skipped, ...]


def make_thumbnails(photos: Iterable[Path], longest_side: int = 256) -> Thumbnails:
    """Thumbnails of `photos` in a new cache entry, each side at most `longest_side` pixels.

    `a.png` becomes `a.png.jpg`, or `a.png.png` if it has transparency. Thumbnails are upright, keep
    the aspect ratio and the colour profile but no other metadata (no place, no time), and are never
    larger than the photo. Photos that cannot be used are skipped. Raises `TempError` or `OSError`
    from the disk.
    """
    entry = get_cache_temp_dir("thumbnails")
    made, skipped = each(photos, partial(_make, entry=entry, longest_side=longest_side))
    return Thumbnails(entry, made, skipped)


def _make(photo: Path, entry: Path, longest_side: int) -> Path:
    image = load(photo, shown_at=longest_side).image
    image.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    kind, suffix = ("PNG", ".png") if image.mode == "RGBA" else ("JPEG", ".jpg")
    with new_file(entry, photo, suffix) as file:
        image.save(file, kind, quality=85, icc_profile=image.info.get("icc_profile"))
    return Path(file.name)
