# case: options unsafe TK007
import pathlib
from pathlib import Path

BASE = Path(".tmp")
ONE = BASE / 'one'
ONE.mkdir(parents=True, exist_ok=True)
TWO = Path(".tmp/two")
TWO.mkdir(parents=True)
THREE = pathlib.Path('.tmp', 'three')
THREE.mkdir()
FOUR = Path('.tmp').joinpath('four')
print('not yet')
FOUR.mkdir()
