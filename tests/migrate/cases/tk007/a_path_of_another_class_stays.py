# case: options unsafe TK007
from mypaths import Path

OUT = Path(".tmp") / "x"
OUT.mkdir()
