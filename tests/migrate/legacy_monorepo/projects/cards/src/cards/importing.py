"""Imports photos by the day on which they were taken."""

import os
import shutil
import tempfile
from pathlib import Path

from PIL import ExifTags, Image

DAYLESS = "undated"


def day_of(photo):
    """The day on which `photo` was taken, `2023-07-14`, or `undated`."""
    with Image.open(photo) as image:
        taken = image.getexif().get(ExifTags.Base.DateTime, "")
    day = taken.split(" ")[0].replace(":", "-")
    return day if len(day) == 10 else DAYLESS


def import_card(card, library):
    """Copy the photos of `card` into `library`, a folder for each day; how many there are.

    They are sorted aside first, so that a card that is pulled out midway leaves the library alone.
    """
    aside = tempfile.mkdtemp()
    try:
        count = 0
        for photo in sorted(Path(card).iterdir()):
            day = Path(aside) / day_of(photo)
            day.mkdir(exist_ok=True)
            shutil.copy2(photo, day)
            count += 1
        # only now
        shutil.copytree(aside, library, dirs_exist_ok=True)
        return count
    finally:
        shutil.rmtree(aside)


def check(photo):
    """Whether a copy of `photo` reads as it does."""
    folder = tempfile.mkdtemp(prefix="check-")
    try:
        copy = shutil.copy(photo, folder)
        with Image.open(photo) as one, Image.open(copy) as other:
            return one.tobytes() == other.tobytes()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unpack_card(archive):
    """The folder in which the card `archive` was unpacked; to be removed by the caller."""
    folder = tempfile.mkdtemp()
    shutil.unpack_archive(archive, folder)
    return folder


def preview(photo):
    """The file with a small copy of `photo`; to be removed by the caller."""
    with tempfile.NamedTemporaryFile(suffix=".png", delete=False) as file:
        with Image.open(photo) as image:
            image.thumbnail((16, 16))
            image.save(file, "PNG")
    return file.name


def free_name(folder):
    """A name that nothing in `folder` has."""
    return os.path.basename(tempfile.mktemp(dir=folder))
