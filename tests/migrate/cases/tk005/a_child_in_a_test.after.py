# case: options unsafe
# case: path tests/test_dirs.py
from common.temp import temp_working_dir


def test_it(make):
    with temp_working_dir("out") as out:
        make(out)
        assert (out / "x").exists()
