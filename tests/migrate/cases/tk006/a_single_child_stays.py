# case: options unsafe TK006
# case: path tests/test_dirs.py
import pytest


def test_it(tmp_path):
    a = tmp_path / "a"
    a.mkdir()
    assert a.is_dir()
