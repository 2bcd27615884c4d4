import tempfile
from pathlib import Path

import finding


def test_find():
    with tempfile.TemporaryDirectory() as d:
        source = Path(d) / "source"
        target = Path(d) / "target"
        source.mkdir()
        target.mkdir()
        (source / "a.py").touch()
        assert len(finding.find(source)) == 1
