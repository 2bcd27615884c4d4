# case: options unsafe TK007
# case: left TK007:5 not by a plain mkdir() at once
from pathlib import Path

OUT = Path(".tmp") / "x"
print(OUT)
OUT.mkdir()
