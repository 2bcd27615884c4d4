from pathlib import Path

from common.temp import temp_working_dir

import finding


def build():
    with temp_working_dir("making") as d:
        return finding.find(Path(d))
