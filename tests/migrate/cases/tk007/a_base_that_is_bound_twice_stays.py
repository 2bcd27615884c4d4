# case: options unsafe TK007
from pathlib import Path

BASE = Path(".tmp")
BASE = Path("other")
OUT = BASE / "x"
OUT.mkdir()
