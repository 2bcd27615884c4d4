# case: path conftest.py
import tempfile
from pathlib import Path

import pytest

from helpers import make


@pytest.fixture()
def two():
    with tempfile.TemporaryDirectory() as d:
        one = Path(d) / "one"
        two = Path(d) / "two"
        one.mkdir()
        two.mkdir()
        yield make(one, two)
