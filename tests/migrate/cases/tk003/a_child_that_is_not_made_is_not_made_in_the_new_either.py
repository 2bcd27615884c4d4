# case: path tests/test_dirs.py
import shutil
import tempfile
from pathlib import Path


def test_it(tree):
    with tempfile.TemporaryDirectory() as d:
        source = Path(d) / "source"
        target = Path(d) / "target"
        source.mkdir()
        shutil.copytree(source, target)
