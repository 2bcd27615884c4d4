# case: options unsafe TK006
# case: path tests/test_dirs.py
# case: left TK006:9 returns early
import pytest


@pytest.fixture
def dirs(tmp_path, request):
    a = tmp_path / "a"
    b = tmp_path / "b"
    a.mkdir()
    b.mkdir()
    if request:
        return a
    return b
