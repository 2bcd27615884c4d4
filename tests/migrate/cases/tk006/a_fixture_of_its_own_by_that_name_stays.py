# case: path tests/test_dirs.py
# case: options unsafe TK006
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path():
    return Path("/somewhere")


def test_it(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    target = tmp_path / "target"
    target.mkdir()
    assert source != target
