# case: options unsafe TK008
# case: path tests/test_dirs.py
import pytest
from common.temp import temp_working_dir


@pytest.fixture()
def work():
    with temp_working_dir("work") as d_path:
        d = str(d_path)
        yield d
