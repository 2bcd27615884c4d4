"""Report on each photo of a folder and list near-duplicates; `--help` says how."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from photos.commands import inspect

if __name__ == "__main__":
    sys.exit(inspect())
