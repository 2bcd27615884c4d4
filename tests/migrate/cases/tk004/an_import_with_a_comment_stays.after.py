import tempfile  # noqa: F401 - others take it from here

from common.temp import temp_working_dir

with temp_working_dir("module") as d:
    print(d)
