import tempfile
from pathlib import Path

from common.temp import temp_working_dir

try:
    from common.temp import pytest_temp_dirs

    USE_COMMON_TEMP = True
except ImportError:
    USE_COMMON_TEMP = False


def test_x():
    if USE_COMMON_TEMP:
        with pytest_temp_dirs(1, ["a"]) as (a,):
            assert a.is_dir()
    else:
        with tempfile.TemporaryDirectory() as d:
            assert Path(d).is_dir()


def test_y():
    with temp_working_dir("y") as d:
        assert Path(d).is_dir()
