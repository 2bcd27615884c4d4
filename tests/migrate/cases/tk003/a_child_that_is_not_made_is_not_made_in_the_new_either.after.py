# case: path tests/test_dirs.py
import shutil
from pathlib import Path

from common.temp import temp_working_dir


def test_it(tree):
    with temp_working_dir("it") as d:
        source = Path(d) / "source"
        target = Path(d) / "target"
        source.mkdir()
        shutil.copytree(source, target)
