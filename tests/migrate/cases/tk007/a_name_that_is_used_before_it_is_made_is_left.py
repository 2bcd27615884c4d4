# case: options unsafe TK007
# case: left TK007:5 not directly by a plain mkdir()
from pathlib import Path

OUT = Path(".tmp") / "x"
print(OUT)
OUT.mkdir()
