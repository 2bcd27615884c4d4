import tempfile
from pathlib import Path

from common.temp import TempManager, temp_working_dir

print(TempManager, temp_working_dir)


def test_copy():
    with tempfile.TemporaryDirectory() as d:
        source = Path(d) / "source"
        target = Path(d) / "target"
        source.mkdir()
        target.mkdir()
        assert source != target
