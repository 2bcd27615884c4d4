"""Each test stands in an empty project of its own."""

import os
from importlib.util import find_spec

import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    directory = tmp_path / 'project'
    directory.mkdir()
    (directory / 'pyproject.toml').write_text('')
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def draw(tmp_path):
    """Draws a photo: red at the top left, green at the top right, blue and white below."""

    def drawn(name='drawn.png', mode='RGB', **options):
        image = Image.new('RGB', (60, 40), 'red')
        for colour, (x, y) in (('lime', (30, 0)), ('blue', (0, 20)), ('white', (30, 20))):
            image.paste(colour, (x, y, x + 30, y + 20))
        image.convert(mode).save(tmp_path / name, **options)
        return tmp_path / name

    return drawn


@pytest.fixture
def real():
    """A real photo, of those that scikit-image ships."""
    (package,) = find_spec('skimage').submodule_search_locations
    return os.path.join(package, 'data', 'chelsea.png')
