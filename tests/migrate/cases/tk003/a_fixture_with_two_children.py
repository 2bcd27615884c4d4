# case: path tests/test_dirs.py
import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def dirs():
    with tempfile.TemporaryDirectory() as temp_dir:
        temp_path = Path(temp_dir)
        source = temp_path / "source"
        target = temp_path / "target"
        source.mkdir()
        target.mkdir()

        yield source, target


def test_copy(dirs):
    source, target = dirs
    shutil.copytree(source, target / "copy")
