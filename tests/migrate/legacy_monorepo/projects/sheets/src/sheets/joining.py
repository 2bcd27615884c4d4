"""Puts photos together on a contact sheet."""

import math
import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image, ImageOps


def make_contact_sheet(photos, output, tile=100):
    """Write a sheet of `photos`, with tiles of `tile` pixels a side, to `output`.

    What is at `output` is replaced only by a finished sheet.
    """
    if not photos:
        raise ValueError("no photos")

    # The tiles lie on the disk meanwhile: memory holds one at a time.
    with tempfile.TemporaryDirectory() as work:
        tiles = []
        for index, photo in enumerate(photos):
            path = os.path.join(work, "tile_%03d.png" % index)
            make_tile(photo, path, tile)
            tiles.append(path)

        finished = Path(work) / ("sheet" + Path(output).suffix)
        join(tiles, tile).save(finished)
        shutil.move(str(finished), str(output))  # on one disk that is a rename
    return output


def make_tile(photo, path, side):
    with Image.open(photo) as image:
        ImageOps.pad(ImageOps.exif_transpose(image).convert("RGB"), (side, side), color="white").save(path)


def join(tiles, side):
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    sheet = Image.new("RGB", (columns * side, rows * side), "white")
    for index, path in enumerate(tiles):
        row, column = divmod(index, columns)
        with Image.open(path) as image:
            sheet.paste(image, (column * side, row * side))
    return sheet


def count_colours(sheet):
    """How many colours there are on a sheet, as a copy with 64 of them says."""
    with tempfile.TemporaryDirectory() as work:
        reduced = work + "/reduced.png"
        with Image.open(sheet) as image:
            image.convert("RGB").quantize(64).save(reduced)
        with Image.open(reduced) as image:
            return len(image.getcolors())


def sheet_in(folder, photos):
    """A sheet of `photos` in `folder`, by way of a directory on the same disk."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="sheet-") as work:
        make_contact_sheet(photos, os.path.join(work, "sheet.png"), tile=20)
        os.replace(os.path.join(work, "sheet.png"), os.path.join(folder, "sheet.png"))
    return os.path.join(folder, "sheet.png")
