# case: options unsafe
# case: path tests/test_dirs.py
from common.temp import pytest_temp_dirs, temp_working_dir


def test_it(run):
    with pytest_temp_dirs(2, ["a", "b"]) as (a, b):
        with temp_working_dir("it") as d_path:
            d = str(d_path)
            run(d + "/x")
        with temp_working_dir("it") as e:
            print(e, a, b)
