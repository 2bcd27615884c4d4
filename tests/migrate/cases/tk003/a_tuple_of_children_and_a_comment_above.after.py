# case: path tests/test_dirs.py
from common.temp import pytest_temp_dirs


def test_it():
    """Two folders."""
    with pytest_temp_dirs(2, ["left", "right"]) as (left, right):
        # the two sides
        assert list(left.iterdir()) == list(right.iterdir()) == []
