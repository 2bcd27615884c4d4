# case: options unsafe TK008
# case: path tests/test_dirs.py
import pytest
from common.temp import temp_working_dir


@pytest.fixture
def work():
    with temp_working_dir("work") as work_path:  # scratch
        work = str(work_path)

        text = """
unmoved
"""
        # now
        yield work, text


@pytest.fixture
def path():
    with temp_working_dir("path") as path:
        yield path
