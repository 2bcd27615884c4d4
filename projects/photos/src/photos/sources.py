"""The sources of photos: a folder of the user, or the photos shipped by scikit-image."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from .errors import PhotosError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_SHIPPED_SUFFIXES = frozenset({".jpg", ".png"})


def photos_in(folder: Path, suffixes: frozenset[str] = SUFFIXES) -> list[Path]:
    """The photos in `folder` by their suffix in any case, sorted by name.

    Folders inside it are not searched. Raises `PhotosError` if it cannot be listed or has no
    photos.
    """
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise PhotosError(f"cannot list {folder}: {error.strerror}; give a folder") from error
    photos = [path for path in inside if path.suffix.lower() in suffixes and path.is_file()]
    if not photos:
        raise PhotosError(f"no photos in {folder}; it needs files {', '.join(sorted(suffixes))}")
    return photos


def shipped_photos() -> list[Path]:
    """The photos inside the installed scikit-image, by name.

    The package is located without importing it, which would also import numpy and scipy. Raises
    `PhotosError` if it is not installed.
    """
    spec = find_spec("skimage")
    for location in (spec and spec.submodule_search_locations) or ():
        data = Path(location) / "data"
        if data.is_dir():
            return photos_in(data, _SHIPPED_SUFFIXES)
    raise PhotosError(
        "no photos to use: give a folder, or get some with `python -m pip install scikit-image`"
    )
