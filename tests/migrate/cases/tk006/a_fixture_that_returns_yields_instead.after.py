# case: options unsafe TK006
# case: path tests/test_dirs.py
import pytest
from common.temp import pytest_temp_dirs


@pytest.fixture
def dirs(monkeypatch):
    with pytest_temp_dirs(2, ["source", "target"]) as (source, target):
        monkeypatch.chdir(source)
        yield source, target
