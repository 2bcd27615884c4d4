"""The commands, for both the scripts and the tasks: parse, call, print, return the exit code.

0 means done, 1 a skipped photo or an error of the disk, 2 an argument that cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from common.temp import TempError

from .errors import PhotosError
from .inspection import inspect_photos
from .reading import Skipped
from .sampling import make_contact_sheet
from .sources import photos_in, shipped_photos
from .thumbnails import make_thumbnails


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with one line; argparse would print the usage before it."""
        self.exit(2, f"{self.prog}: {_plain(message)}\n")


def thumbnails(arguments: Sequence[str] | None = None) -> int:
    """Make thumbnails. Returns the exit code."""
    parser = _parser("Make thumbnails of the photos of a folder, in a cache entry.")
    parser.add_argument("--size", type=_pixels, default=256, help="longest side (256)")
    args = parser.parse_args(arguments)

    def run() -> tuple[Skipped, ...]:
        made = make_thumbnails(_photos(args.folder), args.size)
        _say(f"{len(made.made)} thumbnails in {made.entry}")
        return made.skipped

    return _exit_code(parser.prog, run)


def contact_sheet(arguments: Sequence[str] | None = None) -> int:
    """Make a contact sheet. Returns the exit code."""
    parser = _parser("Make a contact sheet of some photos of a folder.")
    parser.add_argument("--output", type=Path, required=True, help="the sheet, .jpg or .png")
    parser.add_argument("--count", type=_positive, default=12, help="how many photos (12)")
    parser.add_argument("--seed", type=_seed, default=0, help="which photos (0)")
    parser.add_argument("--tile", type=_pixels, default=200, help="side of a tile (200)")
    args = parser.parse_args(arguments)

    def run() -> tuple[Skipped, ...]:
        photos = _photos(args.folder)
        sheet = make_contact_sheet(photos, args.output, args.count, args.seed, args.tile)
        _say(f"{len(sheet.photos)} of {len(photos)} photos on {sheet.path}")
        return sheet.skipped

    return _exit_code(parser.prog, run)


def inspect(arguments: Sequence[str] | None = None) -> int:
    """Report on each photo. Returns the exit code."""
    parser = _parser("Report on each photo of a folder, in a debug entry; list near-duplicates.")
    args = parser.parse_args(arguments)

    def run() -> tuple[Skipped, ...]:
        seen = inspect_photos(_photos(args.folder))
        _say(f"{len(seen.reports)} reports in {seen.entry}")
        for pair in seen.near_duplicates:
            _say(f"near-duplicates: {pair.first}, {pair.second} ({pair.distance} of 64 bits)")
        return seen.skipped

    return _exit_code(parser.prog, run)


def _parser(description: str) -> argparse.ArgumentParser:
    parser = _Parser(description=description, allow_abbrev=False)
    parser.add_argument(
        "folder", nargs="?", type=Path, help="with photos; else those that scikit-image ships"
    )
    return parser


def _photos(folder: Path | None) -> list[Path]:
    return shipped_photos() if folder is None else photos_in(folder)


def _exit_code(name: str, run: Callable[[], tuple[Skipped, ...]]) -> int:
    try:
        skipped = run()
    except PhotosError as error:
        _say(f"{name}: {error}", error=True)
        return 2
    except TempError as error:
        _say(f"{name}: {error}", error=True)
        return error.exit_code
    except OSError as error:
        _say(f"{name}: {error.strerror or error}: {error.filename or 'the disk'}", error=True)
        return 1
    for one in skipped:
        _say(f"skipped {one.photo.name}: {one.reason}", error=True)
    return 1 if skipped else 0


def _say(text: str, error: bool = False) -> None:
    print(_plain(text), file=sys.stderr if error else sys.stdout)


def _plain(text: str) -> str:
    """The text, printable and on one line."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _positive(text: str) -> int:
    return _whole(text, 1, 10**6)


def _pixels(text: str) -> int:
    return _whole(text, 1, 10_000)


def _seed(text: str) -> int:
    return _whole(text, -(2**63), 2**63 - 1)


def _whole(text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
    return number
