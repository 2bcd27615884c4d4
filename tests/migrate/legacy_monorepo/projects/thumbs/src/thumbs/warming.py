"""Warms the cache of the web server: the thumbnails of all sizes, before anybody asks."""

from pathlib import Path

from PIL import Image

from .making import get_temp_dir
from .reading import load

SIZES = (64, 128, 256)


def warm(photos, sizes=SIZES):
    """The directories of thumbnails of `photos`, one for each of `sizes`."""
    folders = {}
    for size in sizes:
        folders[size] = folder = get_temp_dir(
            # one for each size, since the server maps them to hosts
            f'warm-{size}'
        )
        for photo in photos:
            image = load(photo).convert('RGB')
            image.thumbnail((size, size), Image.LANCZOS)
            image.save(Path(folder) / (Path(photo).stem + '.jpg'))
    return folders


def forget_nothing(photos):
    """How many bytes the warm thumbnails of `photos` take; they stay."""
    from thumbs.making import get_temp_dir as scratch

    folder = scratch("weighed")
    for photo in photos:
        load(photo).convert("RGB").save(folder / "weighed.jpg")
    return sum(path.stat().st_size for path in folder.iterdir())
