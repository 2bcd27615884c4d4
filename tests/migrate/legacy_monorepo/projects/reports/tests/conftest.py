import os
from importlib.util import find_spec

import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """The project, which is the working directory."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "pyproject.toml").touch()
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def folders(tmp_path):
    """Photos, and what is made of them."""
    source = tmp_path / "source"
    source.mkdir()
    target = tmp_path / "target"
    target.mkdir()
    return source, target


@pytest.fixture
def real():
    (package,) = find_spec("skimage").submodule_search_locations
    return [os.path.join(package, "data", name) for name in ("chelsea.png", "coffee.png")]


@pytest.fixture
def steps():
    """An image that gets lighter to the right."""
    image = Image.new("RGB", (90, 80))
    for x in range(90):
        image.paste((x * 2, x * 2, x * 2), (x, 0, x + 1, 80))
    return image
