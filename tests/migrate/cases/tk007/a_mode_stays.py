# case: options unsafe TK007
# case: left TK007:7 makes .tmp/x on line 8
import shutil
from pathlib import Path


OUT = Path(".tmp") / "x"
OUT.mkdir(0o700)
