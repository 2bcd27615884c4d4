# case: options unsafe TK006
# case: path tests/test_dirs.py
# case: left TK006:9 has a return annotation
import pytest


@pytest.fixture
def dirs(tmp_path) -> tuple:
    a = tmp_path / "a"
    b = tmp_path / "b"
    a.mkdir()
    b.mkdir()
    return a, b
