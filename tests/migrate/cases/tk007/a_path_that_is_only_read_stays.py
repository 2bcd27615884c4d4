# case: options unsafe TK007
import shutil
from pathlib import Path


LAST = Path(".tmp") / "x"
print(LAST.read_text())
