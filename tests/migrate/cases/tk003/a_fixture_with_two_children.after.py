# case: path tests/test_dirs.py
import shutil

import pytest
from common.temp import pytest_temp_dirs


@pytest.fixture
def dirs():
    with pytest_temp_dirs(2, ["source", "target"]) as (source, target):
        yield source, target


def test_copy(dirs):
    source, target = dirs
    shutil.copytree(source, target / "copy")
