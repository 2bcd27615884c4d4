# case: options TK007
# case: left TK007:7 create_persistent_dir()
import shutil
from pathlib import Path


OUT = Path(".tmp") / "x"
OUT.mkdir()
