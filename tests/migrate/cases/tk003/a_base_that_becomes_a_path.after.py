# case: path tests/test_dirs.py
from common.temp import pytest_temp_dirs


def test_it(run):
    with pytest_temp_dirs(2, ["one", "two"]) as (one, two):
        run(one, two)
