# case: path tests/test_dirs.py
import tempfile
from pathlib import Path


class TestIt:
    def test_it(self):
        with tempfile.TemporaryDirectory() as d:
            one = Path(d) / "one"
            one.mkdir()
            two = Path(d) / "two"
            two.mkdir()
            assert one.parent == two.parent
