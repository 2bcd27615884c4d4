# case: path tests/test_dirs.py
import tempfile
from pathlib import Path

def test_it():
	with tempfile.TemporaryDirectory() as d:
		a = Path(d) / 'a'
		a.mkdir()
		b = Path(d, 'b')
		b.mkdir(parents=True, exist_ok=True)
		c = Path(d).joinpath('c')
		c.mkdir()
		assert a != b != c
