"""Each test stands in an empty project of its own, and has two folders side by side."""

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def folders():
    """Where photos come from and where sheets go."""
    with tempfile.TemporaryDirectory() as tmpdir:
        source = Path(tmpdir) / "source"
        target = Path(tmpdir) / "target"
        source.mkdir()
        target.mkdir()
        yield source, target


@pytest.fixture
def photos(folders):
    """Nine photos of one colour each."""
    made = []
    for index in range(9):
        path = folders[0] / ("%d.png" % index)
        Image.new("RGB", (30, 20), (index * 20, 0, 255 - index * 20)).save(path)
        made.append(str(path))
    return made


@pytest.fixture
def real():
    """Two real photos, of those that scikit-image ships."""
    (package,) = find_spec("skimage").submodule_search_locations
    return [os.path.join(package, "data", name) for name in ("chelsea.png", "text.png")]
