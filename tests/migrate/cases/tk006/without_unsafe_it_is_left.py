# case: options TK006
# case: path tests/test_dirs.py
# case: left TK006:8 use pytest_temp_dirs()
import pytest


def test_it(tmp_path):
    a = tmp_path / "a"
    b = tmp_path / "b"
    a.mkdir()
    b.mkdir()
    assert a != b
