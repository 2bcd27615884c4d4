# case: path tests/test_dirs.py
# case: options unsafe TK006
import pytest


@pytest.mark.parametrize("tmp_path, count", [("a", 1)], indirect=["tmp_path"])
def test_it(tmp_path, count):
    source = tmp_path / "source"
    source.mkdir()
    target = tmp_path / "target"
    target.mkdir()
    assert count
