# case: path tests/test_dirs.py
from common.temp import pytest_temp_dirs


class TestIt:
    def test_it(self):
        with pytest_temp_dirs(2, ["one", "two"]) as (one, two):
            assert one.parent == two.parent
