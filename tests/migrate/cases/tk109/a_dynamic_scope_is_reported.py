# case: left TK109:13 several tests
import tempfile

import pytest


def scope(fixture_name, config):
    return "session"


@pytest.fixture(scope=scope)
def work():
    with tempfile.TemporaryDirectory() as d:
        yield d
