# case: path tests/test_dirs.py
# case: options unsafe TK006
import pytest
from common.temp import pytest_temp_dirs


class TestDirs:
    @pytest.mark.parametrize("count", [1, 2])
    def test_it(self, count):
        with pytest_temp_dirs(2, ["source", "target"]) as (source, target):
            for number in range(count):
                (source / str(number)).touch()
            text = """
left alone
"""
            assert text
