# case: left TK004:24 line 6 allows for a missing package
import importlib.util
import tempfile
from pathlib import Path

if importlib.util.find_spec("tempkeep") is not None:
    from tempkeep import temp_working_dir as scratch
else:

    def scratch(name):
        with tempfile.TemporaryDirectory(prefix=name) as d:
            print(d)
        return tempfile.TemporaryDirectory()


def has_temp():
    return importlib.util.find_spec("common.temp") is not None


def work():
    if not has_temp():
        with tempfile.TemporaryDirectory() as d:
            print(Path(d))
    with tempfile.TemporaryDirectory() as d:
        print(Path(d))
