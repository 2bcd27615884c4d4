# case: left TK104:7 nobody removes
# case: left TK104:8 nobody removes
# case: left TK104:9 nobody removes
from pathlib import Path
from tempfile import mkdtemp

WORK = mkdtemp()
OTHER = Path(mkdtemp())
mkdtemp()
