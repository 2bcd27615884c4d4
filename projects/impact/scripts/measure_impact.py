"""Sample what each insurance plan does to visits to the doctor; `--help` says how."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from impact.commands import measure

if __name__ == "__main__":
    sys.exit(measure())
