# case: options unsafe TK007
from pathlib import Path

from common.temp import TempManager

BASE = Path(".tmp")
ONE = TempManager.create_persistent_dir('one', 'work')
TWO = TempManager.create_persistent_dir('two', 'work')
THREE = TempManager.create_persistent_dir('three', 'work')
FOUR = TempManager.create_persistent_dir('four', 'work')
print('not yet')
