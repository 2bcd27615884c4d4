# case: options unsafe TK006
# case: path tests/test_dirs.py
# case: left TK006:8 no room
import pytest


def test_it(tmp_path):
    a = tmp_path / "a"
    b = tmp_path / "b"
    a.mkdir()  # the left one
    b.mkdir()
    assert a != b
