import contextlib
import tempfile
from pathlib import Path

temp_working_dir = None
with contextlib.suppress(ImportError):
    from common.temp import temp_working_dir


def work():
    if temp_working_dir is None:
        with tempfile.TemporaryDirectory() as d:
            return Path(d).name
    with temp_working_dir("x") as d:
        return d.name


def inner():
    try:
        import common.temp as scratch
    except (ImportError, AttributeError):
        scratch = None
    if scratch:
        return scratch.temp_working_dir("x")
    return tempfile.TemporaryDirectory()
