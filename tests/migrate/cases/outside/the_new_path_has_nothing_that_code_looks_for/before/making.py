import tempfile
from pathlib import Path

import finding


def build():
    with tempfile.TemporaryDirectory() as d:
        return finding.find(Path(d))
