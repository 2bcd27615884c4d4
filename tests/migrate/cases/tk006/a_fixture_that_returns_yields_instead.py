# case: options unsafe TK006
# case: path tests/test_dirs.py
import pytest


@pytest.fixture
def dirs(monkeypatch, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    monkeypatch.chdir(source)
    return source, target
