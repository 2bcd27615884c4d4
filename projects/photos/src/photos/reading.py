"""Reads a photo as it is meant to be seen: upright, with 8 bits per channel."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from PIL import ExifTags, Image, UnidentifiedImageError

from .errors import UnusablePhoto

Made = TypeVar("Made")

# Only these: a file called .jpg may hold anything, and Pillow runs Ghostscript on PostScript.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A photo in memory: `image` is L, RGB, or RGBA if the file has transparency."""

    image: Image.Image
    stored_format: str
    stored_mode: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A photo that was left out, and why."""

    photo: Path
    reason: str


def load(photo: Path, shown_at: int | None = None) -> Picture:
    """The first picture in `photo`, whole. Of its metadata, only the colour profile is kept.

    With `shown_at` pixels, a JPEG may be scaled down, to no less than three times that: this saves
    most of the decoding, and the difference is not visible. Raises `UnusablePhoto`.
    """
    try:
        # The photo can be shown in spite of Pillow's warnings (odd metadata, many pixels).
        with warnings.catch_warnings(), photo.open("rb") as file:
            warnings.simplefilter("ignore")
            with Image.open(file, formats=_FORMATS) as stored:
                stored_format, stored_mode = stored.format or "", stored.mode
                if shown_at is not None:
                    stored.draft(None, (3 * shown_at, 3 * shown_at))
                stored.load()
                # Not ImageOps.exif_transpose: it also rewrites the EXIF data, and fails if they are
                # odd.
                turn = _UPRIGHT.get(stored.getexif().get(ExifTags.Base.Orientation, 1))
                image = _eight_bits(stored if turn is None else stored.transpose(turn))
                profile = stored.info.get("icc_profile")
    except Exception as error:  # decoders raise almost any error for damaged files
        raise UnusablePhoto(_reason(error)) from error
    # A CMYK profile does not fit the RGB made from it.
    image.info = {"icc_profile": profile} if profile and stored_mode != "CMYK" else {}
    return Picture(image, stored_format, stored_mode)


def on_white(image: Image.Image) -> Image.Image:
    """An RGB copy of `image`, with white where it is transparent."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def each(
    photos: Iterable[Path], make: Callable[[Path], Made]
) -> tuple[tuple[Made, ...], tuple[Skipped, ...]]:
    """The results of `make` for the photos, and the photos for which it raised `UnusablePhoto`."""
    made: list[Made] = []
    skipped: list[Skipped] = []
    for photo in photos:
        try:
            made.append(make(photo))
        except UnusablePhoto as error:
            skipped.append(Skipped(photo, str(error)))
    return tuple(made), tuple(skipped)


def new_file(entry: Path, photo: Path, suffix: str) -> BinaryIO:
    """A new file in `entry`, open for writing, named like the photo with `suffix` appended.

    Raises `UnusablePhoto` if the name is taken, for example by a photo of another folder, or too
    long. Other errors of the disk are not due to the photo, and are raised as they are.
    """
    try:
        return (entry / f"{photo.name}{suffix}").open("xb")
    except FileExistsError as error:
        raise UnusablePhoto("another photo has this name") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UnusablePhoto("its name is too long to add to") from error
        raise


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _stretched(image)
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in {"1", "L"} else "RGB")


def _stretched(image: Image.Image) -> Image.Image:
    """A greyscale image of more than 8 bits, in 8 bits; a plain conversion clips at 255.

    16 bits have a known range; wider numbers are stretched from their darkest to their lightest.
    """
    extrema = (0, 65535) if image.mode.startswith("I;16") else image.getextrema()
    low, high = cast("tuple[float, float]", extrema)
    scale = 255 / ((high - low) or 1)
    return image.convert("F").point(lambda value: value * scale - low * scale).convert("L")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture in a format that can be read"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"cannot be read: {' '.join(text.split()) or type(error).__name__}"
