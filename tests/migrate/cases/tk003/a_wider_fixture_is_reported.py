# case: left TK109:11 several tests
# case: path tests/test_dirs.py
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def dirs():
    with tempfile.TemporaryDirectory() as d:
        a = Path(d) / "a"
        b = Path(d) / "b"
        a.mkdir()
        b.mkdir()
        yield a, b
