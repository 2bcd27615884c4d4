# case: left TK004:9 yields it
import tempfile

import pytest


@pytest.fixture(scope="function")
def work():
    with tempfile.TemporaryDirectory() as d:
        yield d
