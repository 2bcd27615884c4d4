from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import photos
import pytest
from photos.errors import PhotosError
from photos.sources import photos_in

SOURCE = Path(photos.__file__).parents[1]
LOOK = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import photos.sources as s; "


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_the_photos_of_scikit_image_are_found(real: dict[str, Path]) -> None:
    assert {"astronaut.png", "chelsea.png", "rocket.jpg"} <= set(real)


def test_scikit_image_is_not_imported_for_that() -> None:
    ran = python("-c", LOOK + "s.shipped_photos(); print('skimage' in sys.modules)")
    assert ran.stdout == "False\n"


def test_without_scikit_image_the_error_says_how_to_get_it() -> None:
    ran = python("-S", "-c", LOOK + "s.shipped_photos()")  # -S: nothing that is installed
    assert "get some with `python -m pip install scikit-image`" in ran.stderr


def test_the_photos_of_a_folder_are_those_with_a_known_suffix_in_any_case(folder: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", "png"):
        (folder / name).touch()
    assert [photo.name for photo in photos_in(folder)] == ["a.png", "b.JPG"]


def test_a_folder_that_is_named_like_a_photo_is_none(folder: Path) -> None:
    (folder / "album.jpg").mkdir()
    with pytest.raises(PhotosError, match=r"no photos in .*; it needs files \.bmp, \.gif"):
        photos_in(folder)


def test_a_missing_folder_is_an_error_that_names_it(folder: Path) -> None:
    with pytest.raises(PhotosError, match=r"cannot list .*/missing: No such file or directory"):
        photos_in(folder / "missing")
