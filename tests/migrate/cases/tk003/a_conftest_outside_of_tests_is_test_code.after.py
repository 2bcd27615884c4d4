# case: path conftest.py
import pytest
from common.temp import pytest_temp_dirs

from helpers import make


@pytest.fixture()
def two():
    with pytest_temp_dirs(2, ["one", "two"]) as (one, two):
        yield make(one, two)
