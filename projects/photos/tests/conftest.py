"""Each test stands in a throw-away project, so that its scratch is made, and is gone, with that."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from photos.sources import shipped_photos
from PIL import Image

from common import temp


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, which is the working directory."""
    system_temp = tmp_path / "system-temp"
    system_temp.mkdir()
    monkeypatch.setenv("TMPDIR", str(system_temp))
    monkeypatch.setattr(tempfile, "tempdir", None)
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "pyproject.toml").touch()
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def folders(project: Path) -> Iterator[list[Path]]:
    """Two empty folders, side by side."""
    # By its module: pytest takes every function of a conftest named pytest_… for a hook.
    with temp.pytest_temp_dirs(names=["photos", "output"]) as directories:
        yield directories


@pytest.fixture
def folder(folders: list[Path]) -> Path:
    """A folder for photos."""
    return folders[0]


@pytest.fixture
def output(folders: list[Path]) -> Path:
    """A folder for what is made of them."""
    return folders[1]


@pytest.fixture
def draw(folder: Path) -> Callable[..., Path]:
    """Draws a photo: red at the top left, green at the top right, blue and white below."""

    def drawn(
        name: str = "drawn.png",
        mode: str = "RGB",
        turn: Image.Transpose | None = None,
        **options: Any,
    ) -> Path:
        image = Image.new("RGB", (60, 40), "red")
        for colour, corner in (("lime", (30, 0)), ("blue", (0, 20)), ("white", (30, 20))):
            image.paste(colour, (*corner, corner[0] + 30, corner[1] + 20))
        if turn is not None:
            image = image.transpose(turn)
        image.convert(mode).save(folder / name, **options)
        return folder / name

    return drawn


@pytest.fixture(scope="session")
def real() -> dict[str, Path]:
    """The real photos that scikit-image ships, by name."""
    return {photo.name: photo for photo in shipped_photos()}
