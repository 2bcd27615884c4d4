from tempfile import TemporaryDirectory

from common.temp import temp_working_dir

__all__ = ["TemporaryDirectory"]

with temp_working_dir("module") as d:
    print(d)
