# case: path tests/test_dirs.py
from common.temp import pytest_temp_dirs

def test_it():
	with pytest_temp_dirs(3, ['a', 'b', 'c']) as (a, b, c):
		assert a != b != c
