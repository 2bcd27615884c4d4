# case: options unsafe TK008
# case: path tests/test_dirs.py
import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def work():
    work = tempfile.mkdtemp()  # scratch

    text = """
unmoved
"""
    # now
    yield work, text

    shutil.rmtree(work)


@pytest.fixture
def path():
    path = Path(tempfile.mkdtemp())
    yield path
    if path.exists():
        shutil.rmtree(path)
