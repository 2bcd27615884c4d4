# case: options unsafe TK008
# case: path tests/test_dirs.py
from shutil import rmtree
from tempfile import mkdtemp

import pytest


@pytest.fixture()
def work():
    d = mkdtemp()
    try:
        yield d
    finally:
        rmtree(d)
