"""Make a contact sheet of some photos of a folder; `--help` says how."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from photos.commands import contact_sheet

if __name__ == "__main__":
    sys.exit(contact_sheet())
