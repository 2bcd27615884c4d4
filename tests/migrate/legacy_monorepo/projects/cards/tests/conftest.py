import shutil
import tempfile
from pathlib import Path

import pytest
from PIL import ExifTags, Image


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def card():
    """A card with three photos of two days, and one that does not say."""
    folder = Path(tempfile.mkdtemp())
    for name, taken in (
        ("1.jpg", "2023:07:14 10:00:00"),
        ("2.jpg", "2023:07:14 11:00:00"),
        ("3.jpg", "2023:07:15 10:00:00"),
        ("4.jpg", None),
    ):
        exif = Image.Exif()
        if taken:
            exif[ExifTags.Base.DateTime] = taken
        Image.new("RGB", (20, 10), "red").save(folder / name, exif=exif)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def library():
    path = tempfile.mkdtemp()
    yield path
    # whatever a test has left in it
    shutil.rmtree(path, ignore_errors=True)
