# case: options unsafe TK007
# case: left TK007:7 not a single name
import shutil
from pathlib import Path


OUT = Path(".tmp") / "x/y"
OUT.mkdir(parents=True)
