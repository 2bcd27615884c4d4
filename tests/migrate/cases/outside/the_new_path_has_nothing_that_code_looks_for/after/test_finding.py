from pathlib import Path

from common.temp import temp_working_dir

import finding


def test_find():
    with temp_working_dir("find") as d:
        source = Path(d) / "source"
        target = Path(d) / "target"
        source.mkdir()
        target.mkdir()
        (source / "a.py").touch()
        assert len(finding.find(source)) == 1
