# case: options unsafe TK007
import shutil
from pathlib import Path


OUT = Path(".cache") / "x"
OUT.mkdir(parents=True)
