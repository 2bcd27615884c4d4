# case: path tests/test_dirs.py
# case: options unsafe TK006
import pytest


class TestDirs:
    @pytest.mark.parametrize("count", [1, 2])
    def test_it(self, tmp_path, count):
        source = tmp_path / "source"
        source.mkdir()
        target = tmp_path / "target"
        target.mkdir()

        for number in range(count):
            (source / str(number)).touch()
        text = """
left alone
"""
        assert text
