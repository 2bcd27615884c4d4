"""Make one run of the pipeline; `--help` says how."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from pipeline.commands import narrate

if __name__ == "__main__":
    sys.exit(narrate())
