# case: options TK007 TK002 TK110
# case: left TK007:7 makes .tmp/x
# case: left TK007:11 makes .tmp/y
from pathlib import Path

base = Path(".tmp")
x = base / "x"
x.mkdir(parents=True)


y = Path(".tmp/y")
if x:
    y.mkdir()
