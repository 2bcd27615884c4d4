# case: options unsafe TK007
import shutil
from pathlib import Path


OUT = Path(".tmp") / "x"
OUT.mkdir(0o700)
